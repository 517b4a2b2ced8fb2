"""`results/`: the deposited bundles, and the gate between them and the numbers of the book."""

import inspect
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from perturbook.errors import ConfigError, DataUnavailable, PerturbookError
from perturbook.evaluation import read_bundle, score
from perturbook.evaluation.bundle import MANIFEST, SCORES, TRUTH, read_truth, write_truth
from perturbook.evaluation.manifest import digest, read_manifest, write_manifest
from perturbook.evaluation.score import from_csv, wide
from perturbook.evaluation.withheld import must_withhold, withheld, withhold
from perturbook.models import MODELS
from perturbook.pages import trained
from perturbook.pages.plan import folder
from perturbook.pages.study import design_of, truth_of
from perturbook.pages.table import ROOT, Page, in_tier
from perturbook.pages.table import page as page_of
from perturbook.source import source_hash
from perturbook.whole import whole_folder

RESULTS = ROOT / "results"
TOLERANCE = 1e-7
"""Scores are stored with eight digits, and two machines may order a sum differently; anything above is a difference."""


def _kept(page: Page, made: Path) -> list[Path]:
    """Files of a finished page that are deposited: everything small, the bundles of its headline models, and what it was
    given of models that train elsewhere."""
    models = {
        path
        for name in (*page.headline, *page.parameters.get("stored", ()))
        for path in made.glob(f"{name}*.h5ad")
        if path.stem.split("-")[0] == name
    }
    small = [path for path in made.iterdir() if path.suffix in (".csv", ".gz", ".json")]
    return sorted({*models, *small, *made.glob(TRUTH)})


def update() -> Iterator[Path]:
    """Deposit what the last `build` of the book kept; yields the folders written.

    Raises:
        PerturbookError: a page that keeps something has not been built.
    """
    for page in in_tier("book"):
        sweep = page.studied and not page.scored
        if not page.headline and not sweep:
            continue
        made = ROOT / folder("book") / "bundles" / page.id
        if not made.is_dir():
            raise PerturbookError(f"Page {page.id} has no finished bundle at {made}; run `make book` first.")
        to = RESULTS / page.id / str(page.parameters.get("seed", 0))
        with whole_folder(to) as making:
            for path in _kept(page, made):
                shutil.copy(path, making)
            # a sweep deposits its scores and labels alone, and a condition of one to four profiles is the origin's data
            if (making / TRUTH).is_file() and (sweep or must_withhold(read_truth(making))):
                truth = read_truth(making)
                write_truth(withhold(truth), making / TRUTH)
                about = read_manifest(making / MANIFEST)
                write_manifest({**about, "files": {**about["files"], **digest(making)}}, making / MANIFEST)
        yield to


def check() -> Iterator[str]:
    """Score every deposit again; yields one line for each that agrees.

    Raises:
        PerturbookError: a score differs, a row or a file is missing, a file is not the one the manifest names, a deposit
            belongs to no page, or the source of a deposited model has changed since.
    """
    places = sorted({path.parent for name in (TRUTH, SCORES) for path in RESULTS.glob(f"*/*/{name}")})
    if not places:
        raise PerturbookError(f"There is no deposit in {RESULTS}.")
    for kept in sorted(RESULTS.glob("*/*")):
        for record in trained.records(kept):
            trained.check(record)
    for place in places:
        models = _check_files(place)
        try:
            rows = _check_scores(place)
            yield f"{place.parent.name}: {rows} rows of {models} models and the duplicate agree"
        except DataUnavailable:
            yield f"{place.parent.name}: not scored again, because its measurements are not deposited and its data are not here"


def _check_files(place: Path) -> int:
    """Compare what lies in a deposit with its page and manifest; returns the number of models."""
    about = read_manifest(place / MANIFEST)
    try:
        page = page_of(place.parent.name)
    except ConfigError as error:
        raise PerturbookError(f"{place} belongs to no page. {error}") from error
    for name, sum_ in digest(place).items():
        if about.get("files", {}).get(name) != sum_:
            raise PerturbookError(f"{place / name} is not the file that {MANIFEST} names; deposit it again.")
    models = {path.stem.split("-")[0] for path in place.glob("*.h5ad") if path.name != TRUTH}
    absent = {entry["name"] for entry in about["not_applicable"]}
    if missing := sorted(set(page.headline) - models - absent):
        raise PerturbookError(f"{place} lacks the predictions of {', '.join(missing)}.")
    for name in sorted(models - {path.stem for path in trained.records(place)}):
        now = source_hash(Path(inspect.getfile(MODELS[name]))) if name in MODELS else "no longer registered"
        if about["model_sources"].get(name) != now:
            raise PerturbookError(
                f"{place}: the source of {name} has changed since its deposit. Run `make book` and `perturbook check --update`."
            )
    return len(models)


def _check_scores(place: Path) -> int:
    """Compare the stored scores of the deposited models with new ones; returns the number of rows.

    Where the measurements are withheld, they are made again from the data, which must be at hand.
    """
    bundle, path = read_bundle(place), place / SCORES
    if withheld(bundle.truth):
        bundle = replace(bundle, truth=truth_of(design_of(page_of(place.parent.name))))
    again = wide(score(bundle))
    if not path.is_file():
        raise PerturbookError(f"{path} does not exist.")
    stored = from_csv(path)
    scored = again.index.droplevel(
        "condition"
    ).unique()  # of a sweep, the duplicates and what is not applicable
    stored = stored[stored.index.droplevel("condition").isin(scored)]
    if missing := [*again.index.difference(stored.index), *again.columns.difference(stored.columns)]:
        raise PerturbookError(f"{path} lacks {len(missing)} rows or metrics, such as {missing[0]}.")
    if len(stored) > len(again):
        more = [*stored.index.difference(again.index), *stored.index[stored.index.duplicated()]]
        raise PerturbookError(f"{path} has {len(more)} rows that no scoring gives, such as {more[0]}.")
    stored = stored.loc[again.index, again.columns]
    differ = ~np.isclose(again, stored, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    if differ.any():
        row, column = np.argwhere(differ)[0]
        raise PerturbookError(
            f"{path}: {int(differ.sum())} scores differ, first {again.columns[column]} of {again.index[row]}: "
            f"stored {stored.iat[row, column]:.10g}, now {again.iat[row, column]:.10g}."
        )
    return len(again)
