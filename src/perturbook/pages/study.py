"""A study: one data set under one setting, from cells to a scored bundle. What a setting page runs."""

import inspect
import json
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import data, evaluation, splits
from perturbook.errors import ConfigError, DataUnavailable
from perturbook.evaluation.bundle import MANIFEST, SCORES, Bundle
from perturbook.evaluation.manifest import manifest
from perturbook.evaluation.score import to_csv
from perturbook.evaluation.truth import Truth
from perturbook.evaluation.withheld import withheld
from perturbook.models import MODELS, shipped
from perturbook.pages import parameters
from perturbook.pages.design import Design
from perturbook.pages.kept import open_deposit
from perturbook.pages.predict import predict
from perturbook.pages.standings import read_scores
from perturbook.pages.table import ROOT, Page
from perturbook.source import source_hash
from perturbook.splits import Split
from perturbook.whole import whole_folder

LAYOUT = "split.csv"


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
    folds = design.splits(cells)
    audits = [_audit_entry(mode, cells, one) for mode, each in folds.items() for one in each]
    tested = next(iter(folds.values()))  # the modes test the same conditions
    truth = evaluation.build_truth(cells, tested, seed=design.seed, facts=_facts(design, cells))
    predictions = predict(design.models, cells, folds, truth)
    layout = layout_of(cells, tested)
    about = _about(design, audits)
    about["run"]["seconds"] = round(time.monotonic() - started, 1)
    with whole_folder(out) as making:
        evaluation.write_bundle(Bundle(truth, predictions, about), making)
        bundle = evaluation.read_bundle(making)  # numbers come from what is stored
        scores = evaluation.score(bundle)
        to_csv(scores, making / SCORES)
        layout.to_csv(making / LAYOUT, index=False)
    return Study(bundle, scores, out, audits, cells, layout)


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
        model_sources={name: source_hash(Path(inspect.getfile(MODELS[name]))) for name in design.models},
        audits=audits,
    )


def _parts(parts: pd.Series) -> str:
    """The parts that one context and perturbation plays, in their logical order."""
    order = ["training", "validation", "support", "test", "shown", "not used"]
    return " and ".join(part for part in order if part in set(parts))


def layout_of(cells: AnnData, folds: list[Split]) -> pd.DataFrame:
    """Count the cells of every context and perturbation, and name the parts they play in each fold."""
    words = {"query": "shown", "train": "training", "valid": "validation", "test": "test"}
    tables = []
    for split in folds:
        part = pd.Series("not used", index=cells.obs_names.astype(str))
        for name, word in words.items():
            part.loc[getattr(split, name)] = word
        obs = cells.obs[["context", "perturbation"]].astype(str).assign(part=part)
        treated = ~cells.obs["is_control"].astype(bool)
        if split.setting == "few_shot_context":
            obs.loc[obs["context"].isin(split.held_out) & treated & (part == "training"), "part"] = "support"
        groups = obs.groupby(["context", "perturbation"])["part"]
        table = groups.agg(part=_parts, cells="size").reset_index()
        idle = (table["part"] == "not used").groupby(table["context"]).transform("all")
        table = table[~idle]  # other worlds of a screen of genes, and lines that a fold does not touch
        held = ", ".join(split.held_out[:2]) + (
            f" and {len(split.held_out) - 2} more" if len(split.held_out) > 2 else ""
        )
        of_screen = f"{split.options['context']}: " if "context" in split.options and len(folds) > 1 else ""
        tables.append(table.assign(fold=of_screen + (held or "cells at random")))
    return pd.concat(tables, ignore_index=True)


def _open_deposit(design: Design, out: Path, absent: DataUnavailable) -> Study:
    open_deposit(design.page, design.seed, MANIFEST, out, absent)
    bundle = evaluation.read_bundle(out)
    layout = pd.read_csv(out / LAYOUT, keep_default_na=False)
    asked, kept = json.loads(json.dumps(_parameters(design))), bundle.manifest["parameters"]
    differs = tuple(sorted(name for name in asked if asked[name] != kept.get(name)))
    scores = _stored_scores(out) if withheld(bundle.truth) else evaluation.score(bundle)
    return Study(bundle, scores, out, bundle.manifest["audits"], None, layout, differs)


def _stored_scores(out: Path) -> pd.DataFrame:
    """The scores of a deposit whose measurements are withheld, as they were when it was made."""
    scores, _ = read_scores(out)
    undefined = scores["value"].isna()
    status = undefined.map({True: "undefined", False: "ok"})
    return scores.assign(
        status=status, reason=undefined.map({True: "as deposited", False: ""}), within_se=np.nan
    )


def truth_of(design: Design) -> Truth:
    """Measure the truth of a page anew; raises DataUnavailable where its data cannot be had."""
    cells = design.load()
    tested = next(iter(design.splits(cells).values()))
    return evaluation.build_truth(cells, tested, seed=design.seed, facts=_facts(design, cells))


def _parameters(design: Design) -> dict:
    """Everything asked for but the page; a reader's own file by its name, because its folder is nobody's business."""
    named = design.data if design.data in data.DATASETS else Path(design.data).name
    return {name: value for name, value in asdict(design).items() if name != "page"} | {"data": named}


def design_of(page: Page) -> Design:
    """What a page of the book asks."""
    return Design.of(parameters.check(page.notebook, {**page.parameters, "page": page.id}))


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
