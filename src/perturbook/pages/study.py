"""A study: one data set under one setting, from cells to a scored bundle. What a setting page runs."""

import inspect
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import data, evaluation, splits
from perturbook.errors import ConfigError, DataUnavailable
from perturbook.evaluation.bundle import MANIFEST, SCORES, Bundle
from perturbook.evaluation.manifest import manifest
from perturbook.evaluation.predicted import Predicted
from perturbook.evaluation.score import to_csv
from perturbook.evaluation.truth import Truth
from perturbook.evaluation.withheld import withheld
from perturbook.models import MODELS, shipped
from perturbook.pages import parameters, trained
from perturbook.pages.design import Design
from perturbook.pages.kept import open_deposit
from perturbook.pages.layout import layout_of
from perturbook.pages.predict import predict
from perturbook.pages.standings import read_scores
from perturbook.pages.table import ROOT, Page
from perturbook.source import source_hash
from perturbook.splits import Split
from perturbook.whole import whole_folder

LAYOUT = "split.csv.gz"


@dataclass(frozen=True)
class Study:
    """What a setting page shows."""

    bundle: Bundle
    """Read back from disk, so that every number comes from what is stored."""
    scores: pd.DataFrame
    """Table of `evaluation.score`."""
    folder: Path
    """Folder of the bundle."""
    audits: list[dict]
    """One per fold and mode: setting, counts, checks."""
    cells: AnnData | None
    """The cells, or None where a deposit is shown."""
    layout: pd.DataFrame
    """How the first mode divides the cells: fold, context, perturbation, part, cells."""
    differs: tuple[str, ...] = ()
    """Parameters whose value in the shown deposit is not the one asked for."""

    @property
    def deposited(self) -> bool:
        """True where the data could not be had and the deposit of the project is shown."""
        return self.cells is None


def run(design: Design, out: Path) -> Study:
    """Load, split, audit, fit, predict, store and score; or open the deposit where the data cannot be had.

    Args:
        design: what to run.
        out: folder of the bundle; replaced as a whole when everything is done.

    Raises:
        LeakError: an audit failed; nothing is written.
        DataUnavailable: the data cannot be had and the page has no deposit.
    """
    started = time.monotonic()
    try:
        cells = design.load()
    except DataUnavailable as absent:
        return _open_deposit(design, out, absent)
    asked = asked_of(design, cells)
    live = [name for name in design.models if name not in design.stored]
    predictions = predict(live, cells, asked.folds, asked.truth) + trained.read(design, asked.truth)
    predictions.sort(key=lambda one: list(design.models).index(one.name))
    truth, audits, layout = asked.truth, asked.audits, layout_of(cells, asked.tested)
    about = _about(design, audits)
    about["run"]["seconds"] = round(time.monotonic() - started, 1)
    with whole_folder(out) as making:
        evaluation.write_bundle(Bundle(truth, predictions, about), making)
        bundle = evaluation.read_bundle(making)  # numbers come from what is stored
        scores = evaluation.score(bundle)
        to_csv(scores, making / SCORES)
        layout.to_csv(making / LAYOUT, index=False, compression={"method": "gzip", "mtime": 0})
        trained.copy_records(design, predictions, making)
    return Study(bundle, scores, out, audits, cells, layout)


@dataclass(frozen=True)
class Asked:
    """An audited study before anything is predicted."""

    cells: AnnData
    folds: dict[str, list[Split]]
    """Per mode, or per k of a sweep."""
    audits: list[dict]
    """One per fold and mode."""
    truth: Truth

    @property
    def tested(self) -> list[Split]:
        """The folds of the first mode; all modes test the same conditions."""
        return next(iter(self.folds.values()))


def asked_of(design: Design, cells: AnnData) -> Asked:
    """Split, audit, measure the truth; raises LeakError before anything is fitted."""
    folds = design.splits(cells)
    audits = [_audit_entry(mode, cells, one) for mode, each in folds.items() for one in each]
    tested = next(iter(folds.values()))
    truth = evaluation.build_truth(cells, tested, seed=design.seed, facts=_facts(design, cells))
    return Asked(cells, folds, audits, truth)


def _about(design: Design, audits: list[dict]) -> dict:
    """Manifest of a study."""
    registered = design.data in data.DATASETS
    used = (
        {design.data: data.checksum(design.data)}
        if registered
        else {Path(design.data).name: data.own_sha256(design.data)}
    )
    for name in sorted({name for model in design.models for name in getattr(MODELS[model], "needs", ())}):
        used[name] = data.checksum(name) if data.available(name) else "absent"
    return manifest(
        ROOT,
        page=design.page,
        parameters=_parameters(design),
        data=used,
        model_sources={
            name: source_hash(Path(inspect.getfile(MODELS[name])))
            for name in design.models
            if name not in design.stored  # which a probe guards
        },
        audits=audits,
    )


def _open_deposit(design: Design, out: Path, absent: DataUnavailable) -> Study:
    open_deposit(design.page, design.seed, MANIFEST, out, absent)
    bundle = evaluation.read_bundle(out)
    layout = pd.read_csv(out / LAYOUT, keep_default_na=False)
    asked, kept = json.loads(json.dumps(_parameters(design))), bundle.manifest["parameters"]
    differs = tuple(sorted(name for name in asked if asked[name] != kept.get(name)))
    if withheld(bundle.truth):
        scores = _stored_scores(bundle.truth, out)
        bundle = replace(bundle, predictions=[*bundle.predictions, *_scored_alone(design, bundle)])
    else:
        scores = evaluation.score(bundle)
    return Study(bundle, scores, out, bundle.manifest["audits"], None, layout, differs)


def _stored_scores(truth: Truth, out: Path) -> pd.DataFrame:
    """The scores of a deposit whose measurements are withheld, as they were when it was made, in the columns of `score`.

    What only the measurements tell is empty: k, n_pred, within_se and de_source.
    """
    scores, _ = read_scores(out)
    undefined, entries = scores["value"].isna(), scores["metric"].map(evaluation.METRICS)
    labels = truth.obs.rename(columns={"n_cells": "n_true"}).reindex(columns=["fold", "n_true", "stratum"])
    return scores.join(labels.fillna({"stratum": ""}), on="condition").assign(
        status=undefined.map({True: "undefined", False: "ok"}),
        reason=undefined.map({True: "as deposited", False: ""}),
        **{name: entries.map(lambda one, name=name: getattr(one, name)) for name in ("reference", "clipped")},
        **{"k": np.nan, "n_pred": np.nan, "within_se": np.nan, "de_source": ""},
    )


def _scored_alone(design: Design, bundle: Bundle) -> list[Predicted]:
    """Predictors of which a deposit holds the scores and not the predictions."""
    there = {one.name for one in bundle.predictions}
    why = "its scores are deposited, and its predictions are not"
    return [
        Predicted(name, MODELS[name].title, MODELS[name].role, reason=why)
        for name in design.models
        if name not in there
    ]


def truth_of(design: Design) -> Truth:
    """Measure the truth of a page anew; raises DataUnavailable where its data cannot be had."""
    return asked_of(design, design.load()).truth


def _parameters(design: Design) -> dict:
    """Everything asked for but the page; a reader's own file by its name, because its folder is nobody's business."""
    named = design.data if design.data in data.DATASETS else Path(design.data).name
    return {name: value for name, value in asdict(design).items() if name != "page"} | {"data": named}


def design_of(page: Page, given: Mapping[str, Any] | None = None) -> Design:
    """What a page of the book asks, with other values for some parameters."""
    return Design.of(parameters.check(page.notebook, {**page.parameters, **(given or {}), "page": page.id}))


def audit_page(page: Page) -> list[dict]:
    """Make the splits of a setting page and audit them; one entry per fold and mode.

    Raises:
        LeakError: a model could have seen what it is asked.
        ConfigError: the page has no setting.
    """
    if not page.studied:
        raise ConfigError(f"Page {page.id!r} has no split to audit.")
    design = design_of(page)
    cells = design.load()
    return [_audit_entry(mode, cells, one) for mode, each in design.splits(cells).items() for one in each]


def _audit_entry(mode: str, cells: AnnData, split: Split) -> dict:
    """Audit a split as models are shown it, with all controls and without the reference controls; raises LeakError."""
    report, blind = splits.audit(cells, split, pretrained=shipped.pretrained()), split.blind()
    blinded = splits.audit(cells, blind, fitted={"predictors": blind.visible})
    checks = [
        *report.checks,
        *(check for check in blinded.checks if "predictors" in check or "reference" in check),
    ]
    return {"mode": mode, "held_out": list(split.held_out), "counts": report.counts, "checks": checks}


def _facts(design: Design, cells: AnnData) -> dict:
    scale = "log1p of counts per 10k" if cells.uns["value_kind"] != "log_intensity" else "log2 intensity"
    panel = sha256("\n".join(cells.var_names).encode()).hexdigest()
    synthetic = design.data in data.DATASETS and data.DATASETS[design.data].synthetic
    return {
        "page": design.page,
        "data": design.data if design.data in data.DATASETS else Path(design.data).name,
        "setting": design.setting,
        "seed": design.seed,
        "scale": scale,
        "value_kind": cells.uns["value_kind"],
        "panel_hash": panel,
        "synthetic": synthetic,
    }


def bundle_folder(out: str, page: str) -> Path:
    """Folder for what a page keeps: `out`, or `runs/<page>/bundle` of the project for a notebook opened by hand."""
    return (ROOT / out) if out else ROOT / "runs" / page / "bundle"
