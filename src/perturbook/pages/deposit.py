"""`results/`: the deposited bundles, and the gate between them and the numbers of the book."""

import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from perturbook.errors import PerturbookError
from perturbook.evaluation import read_bundle, score
from perturbook.evaluation.bundle import MANIFEST, SCORES, TRUTH
from perturbook.evaluation.manifest import read_manifest
from perturbook.evaluation.score import from_csv, wide
from perturbook.models import MODELS
from perturbook.pages.plan import folder
from perturbook.pages.table import ROOT, Page, in_tier
from perturbook.pages.table import page as page_of
from perturbook.source import source_hash

RESULTS = ROOT / "results"
TOLERANCE = 1e-8
"""Two machines may order a sum differently; anything above is a difference."""


def _kept(page: Page, made: Path) -> list[Path]:
    """Files of a finished page that are deposited: everything small, and the bundles of its headline models."""
    models = {
        path
        for name in page.headline
        for path in made.glob(f"{name}*.h5ad")
        if path.stem.split("-")[0] == name
    }
    small = [path for path in made.iterdir() if path.suffix in (".csv", ".json")]
    return sorted({*models, *small, *made.glob(TRUTH)})


def update() -> Iterator[Path]:
    """Deposit what the last `build` of the book kept; yields the folders written.

    Raises:
        PerturbookError: a page that keeps something has not been built.
    """
    for page in in_tier("book"):
        made = ROOT / folder("book") / "bundles" / page.id
        if not page.headline:
            continue
        if not made.is_dir():
            raise PerturbookError(f"Page {page.id} has no finished bundle at {made}; run `make book` first.")
        to = RESULTS / page.id / str(page.parameters.get("seed", 0))
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(parents=True)
        for path in _kept(page, made):
            shutil.copy(path, to)
        yield to


def check() -> Iterator[str]:
    """Score every deposit again; yields one line for each that agrees.

    Raises:
        PerturbookError: a score differs, a row is missing, a file is not the one the manifest names, a deposit belongs
            to no page, or the source of a deposited model has changed since.
    """
    found = sorted(RESULTS.glob(f"*/*/{TRUTH}"))
    for truth in found:
        place = truth.parent
        about = read_manifest(place / MANIFEST)
        page = page_of(place.parent.name)
        kept = sorted(path.stem for path in place.glob("*.h5ad") if path.name != TRUTH)
        for name in sorted({stem.split("-")[0] for stem in kept}):
            now = source_hash(Path(inspect.getfile(MODELS[name])))
            if about["model_sources"].get(name) != now:
                raise PerturbookError(
                    f"{place}: the source of {name} has changed since its deposit. Run `make book` and `perturbook check --update`."
                )
        again, stored = wide(score(read_bundle(place))), from_csv(place / SCORES)
        if missing := sorted(set(again.index) - set(stored.index)):
            raise PerturbookError(f"{place / SCORES} lacks the rows {missing[:3]}.")
        stored = stored.loc[again.index, again.columns]
        differ = ~np.isclose(again, stored, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        if differ.any():
            row, column = np.argwhere(differ)[0]
            raise PerturbookError(
                f"{place}: {int(differ.sum())} scores differ, first {again.columns[column]} of {again.index[row]}: "
                f"stored {stored.iat[row, column]:.10g}, now {again.iat[row, column]:.10g}."
            )
        yield f"{page.id}: {len(again)} rows of {len(kept)} models and the duplicate agree"
    if not found:
        raise PerturbookError(f"There is no deposit in {RESULTS}.")
