"""Predictions of models that train longer than a page may take: made once by `perturbook train`, read by the page.

They lie in `results/<page>/<seed>/`, one file per model (and zero-shot mode), with a record `<model>.json` of what they
were made of. A page reads them only where it asks exactly what was asked then, of the same data; otherwise the model is
not applicable there, and says why. `probe` guards the code: a few steps on a tiny screen must give what they gave then.
"""

import json
import shutil
from dataclasses import asdict, fields, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from perturbook import data, splits
from perturbook.errors import PerturbookError
from perturbook.evaluation.manifest import manifest, read_manifest, write_manifest
from perturbook.evaluation.predicted import Predicted
from perturbook.evaluation.prediction_file import read_prediction, write_prediction
from perturbook.evaluation.rounding import stored
from perturbook.evaluation.truth import Truth
from perturbook.models import MODELS, Query, Training
from perturbook.pages.design import Design
from perturbook.pages.table import ROOT, pages

BESIDE = ("page", "models", "stored")
"""Parameters that decide no prediction."""
OF_CELLS = ("variance", "n_cells", "coordinates", "significant")
"""What a prediction says of generated cells."""
FEW = 30
"""Conditions of a page up to which that is stored; of more it is not, because a deposit has to stay small. Our choice."""
PROBE = {"epochs": 1, "least_steps": 5, "warmup_steps": 0}
"""Training of `probe`, of a model that does not say by `quick` what makes it short."""
DRUGS = ("simulated-drugs", "unseen_combination", None)
PAIRS = ("simulated-pairs", "additive_split", "world-1")
"""Data set, setting and context of a probe."""
SLACK = 0.02
"""Largest difference of a probe, as a share of the largest change it predicts: machines round differently, methods differ by more."""


def place(design: Design) -> Path:
    """Folder of the stored predictions of a page and seed; of another data set than the page's a folder of its own."""
    usual = {one.id: one.parameters.get("data") for one in pages()}.get(design.page, design.data)
    name = design.page if design.data == usual else f"{design.page}-{design.data}"
    return ROOT / "results" / name / str(design.seed)


def store(design: Design, name: str, made: list[Predicted], truth: Truth, **facts: Any) -> None:
    """Write predicted means of one model and their record; what lay there of this model before is gone.

    Args:
        design: what was asked.
        name: model.
        made: one entry per zero-shot mode.
        truth: of the conditions.
        facts: more for the record: audits, what the model is made of, seconds.
    """
    folder = place(design)
    folder.mkdir(parents=True, exist_ok=True)
    if len(truth.obs) > FEW:
        made = [replace(one, **dict.fromkeys(OF_CELLS)) for one in made]
    for old in _files(folder, name):
        old.unlink()
    for one in made:
        write_prediction(truth, one, folder / one.file)
    record = manifest(
        ROOT,
        page=design.page,
        parameters=asked(design),
        data={design.data: data.checksum(design.data)},
        model=name,
        conditions=_labels(truth),
        files={path.name: _sha256(path) for path in _files(folder, name)},
        probe=probe(name),
        **facts,
    )
    write_manifest(record, folder / f"{name}.json")


def asked(design: Design) -> dict:
    """Parameters that decide a prediction, JSON-ready."""
    return json.loads(json.dumps({k: v for k, v in asdict(design).items() if k not in BESIDE}))


def read(design: Design, truth: Truth) -> list[Predicted]:
    """Stored predictions of `design.stored` for the conditions of `truth`; a reason where there are none.

    Raises:
        PerturbookError: a file is missing, or is not the one that its record names.
    """
    found = []
    for name in design.stored:
        if why := _refused(design, name, truth):
            made = MODELS[name]
            found.append(Predicted(name, made.title, made.role, reason=why))
            continue
        for file in check_files(place(design) / f"{name}.json")["files"]:
            one = read_prediction(place(design) / file, truth)
            # at the precision of a bundle, so that the copy in one is the same file
            variance = None if one.variance is None else one.variance.astype(np.float32)
            means = {"mean": stored(one.mean), "mean_split": stored(one.mean_split)}
            found.append(replace(one, **means, variance=variance))
    return found


def _refused(design: Design, name: str, truth: Truth) -> str:
    """Why the stored predictions of a model do not answer this design; empty where they do."""
    if design.data not in data.DATASETS:
        return "none are stored for a file of your own: with an empty list `stored` it trains on the page"
    path = place(design) / f"{name}.json"
    if not path.is_file():
        return f"no predictions are stored for {design.data} and seed {design.seed}, and `perturbook train {design.page}` makes them"
    record, now = read_manifest(path), asked(design)
    usual = {one.name: one.default for one in fields(Design)}  # of a parameter that did not exist then
    then = {key: record["parameters"].get(key, usual[key]) for key in now}
    if differs := sorted(key for key in now if now[key] != json.loads(json.dumps(then[key]))):
        return f"the stored predictions were made with other values of {', '.join(differs)}"
    if record["data"] != {design.data: data.checksum(design.data)}:
        return f"the stored predictions were made from other data than {design.data} now holds"
    return "" if record["conditions"] == _labels(truth) else "the stored predictions are of other conditions"


def copy_records(design: Design, predictions: list[Predicted], to: Path) -> None:
    """Put the records of the stored predictions that a bundle holds beside them."""
    for name in sorted(
        {one.name for one in predictions if one.name in design.stored and one.mean is not None}
    ):
        shutil.copy(place(design) / f"{name}.json", to)


def records(folder: Path) -> list[Path]:
    """Records of the stored predictions of a deposit."""
    return sorted(path for path in folder.glob("*.json") if path.stem in MODELS)


def check_files(path: Path) -> dict:
    """Read a record; raises PerturbookError where a file that it names is missing or another one."""
    record = read_manifest(path)
    for name, sum_ in record["files"].items():
        file = path.with_name(name)
        if not file.is_file() or _sha256(file) != sum_:
            raise PerturbookError(
                f"{file} is not the file that {path.name} names; make both again with `perturbook train`."
            )
    return record


def check(path: Path) -> None:
    """Check files and probe of a record.

    Raises:
        PerturbookError: a file is another one, or the model trains otherwise now than it did then.
    """
    record = check_files(path)
    then, now = np.array(record["probe"]), np.array(probe(record["model"]))
    off = np.abs(now - then).max() if now.shape == then.shape else np.inf
    if not off <= SLACK * np.abs(then).max():
        raise PerturbookError(
            f"{path}: {record['model']} trains otherwise now than when its predictions were stored: a probe differs by "
            f"{off:.2g}. Make them again with `perturbook train`."
        )


@cache
def probe(name: str) -> list[float]:
    """A few predicted changes of a model after a short training on a tiny simulated screen, rounded.

    The screen is of gene pairs where the model says `quick`, which only models of genes do, else of drugs.
    """
    quick = getattr(MODELS[name], "quick", None)
    cells, split = _tiny(*(DRUGS if quick is None else PAIRS))
    train, query = (cells[names].copy() for names in (split.visible, split.query))
    made = MODELS[name](**(PROBE if quick is None else quick)).fit(Training(train, frozenset(split.valid)))
    asked_ = Query(query, split.conditions)
    change = made.predict(asked_).mean - asked_.mu0
    return [round(float(value), 6) for value in change[:4, :: max(1, change.shape[1] // 8)].ravel()]


@cache
def _tiny(name: str, setting: str, context: str | None):
    cells = data.load(name, size="small", expectation=False)
    cells.uns.pop("truth", None)
    return cells, splits.split(cells, setting, 0, **({"context": context} if context else {}))


def _files(folder: Path, name: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"{name}*.h5ad") if path.stem.split("-")[0] == name)


def _labels(truth: Truth) -> str:
    return sha256("\n".join([*map(str, truth.obs.index), "", *map(str, truth.genes)]).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
