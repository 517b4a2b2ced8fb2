"""A study: one data set under one setting, from cells to a scored bundle. What a setting page runs."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import data, evaluation, splits
from perturbook.errors import ConfigError, DataUnavailable, InputError, NotApplicable
from perturbook.evaluation.bundle import MANIFEST, SCORES, Bundle, Predicted
from perturbook.evaluation.differential import top_genes, welch_t
from perturbook.evaluation.manifest import manifest
from perturbook.evaluation.score import to_csv
from perturbook.evaluation.truth import MAX_CELLS, N_DEG, VARIANCE_STEP, Truth, stored
from perturbook.models import MODELS, Prediction, Query, Training
from perturbook.pages.kept import open_deposit
from perturbook.pages.table import ROOT, Page
from perturbook.source import source_hash
from perturbook.splits import Split

LAYOUT = "split.csv"
CONTEXT_SETTINGS = ("zero_shot_context", "few_shot_context")


@dataclass(frozen=True)
class Design:
    """What a setting page asks: data, setting and its options. Refuses impossible combinations when built."""

    page: str
    """Page id, which names the bundle."""
    data: str
    """Registry name, or path of an .h5ad in canonical columns."""
    setting: str
    """Key of `SETTINGS`."""
    models: Sequence[str]
    """Keys of `MODELS`."""
    seed: int = 0
    """Seed of split, halvings and models."""
    held_out: Sequence[str] = ()
    """Contexts to hold out one by one, or drugs; all contexts in turn, or a drawn fold, when empty."""
    k: int = 0
    """Support size of the few-shot setting; 0 elsewhere."""
    modes: Sequence[str] = ()
    """Zero-shot modes; empty elsewhere."""
    fold: int = 0
    """Fold of the unseen-drug setting."""
    scored_drugs: int = 0
    """Drugs scored per held-out context; 0 scores all."""
    size: str = ""
    """Size of a simulated screen, "default" or "small"; empty for real cells."""
    tier: str = "book"
    """Build that the page belongs to, for the manifest."""

    def __post_init__(self):
        takes = splits.SETTINGS[self.setting].takes
        for name in self.models:
            MODELS[name]
        for option, wanted in (("k", "k"), ("modes", "mode"), ("fold", "fold")):
            if getattr(self, option) and wanted not in takes:
                raise ConfigError(
                    f"{option}={getattr(self, option)!r} has no meaning in {self.setting}, which takes {list(takes) or 'no option'}."
                )
        if "mode" in takes and (not self.modes or set(self.modes) - {"A", "B"}):
            raise ConfigError(f"modes={list(self.modes)} must name A, B or both for {self.setting}.")
        if self.held_out and self.setting not in (*CONTEXT_SETTINGS, "unseen_drug"):
            raise ConfigError(
                f"held_out has no meaning in {self.setting} on a page; it draws what it holds out."
            )
        if self.scored_drugs and self.setting not in CONTEXT_SETTINGS:
            raise ConfigError(
                f"scored_drugs has no meaning in {self.setting}; it is for settings that hold out a context."
            )
        if self.seed < 0 or self.k < 0 or self.scored_drugs < 0:
            raise ConfigError("seed, k and scored_drugs must not be negative.")
        if not self.data.endswith(".h5ad"):
            entry = data.DATASETS[self.data]
            if not entry.cells:
                raise ConfigError(f"{self.data} holds no cells and cannot carry a setting.")
            if self.size and not entry.synthetic:
                raise ConfigError(
                    f"size={self.size!r} has no meaning for {self.data}, which is not simulated."
                )
        elif not Path(self.data).is_file():
            raise InputError(f"data={self.data!r}: there is no such file.")

    def load(self) -> AnnData:
        """Load and check the cells, `(cells, genes)`."""
        return data.load(self.data, **({"size": self.size} if self.size else {}))

    def splits(self, adata: AnnData) -> dict[str, list[Split]]:
        """Folds per mode; one mode "" outside the zero-shot setting. The folds of a mode test different conditions."""
        takes = splits.SETTINGS[self.setting].takes
        given: dict[str, Any] = {"k": self.k} if "k" in takes else {}
        if "fold" in takes:
            given |= {"fold": self.fold, "held_out": list(self.held_out) or None}
        folds: list[dict] = [given]
        if self.setting in CONTEXT_SETTINGS:
            treated = adata.obs.loc[~adata.obs["is_control"].astype(bool), "context"].astype(str)
            folds = [
                {**given, "held_out": context} for context in list(self.held_out) or sorted(treated.unique())
            ]
        modes = list(self.modes) or [""]
        return {
            mode: [
                self._restrict(
                    adata, splits.split(adata, self.setting, self.seed, **one, mode=mode or None), i
                )
                for i, one in enumerate(folds)
            ]
            for mode in modes
        }

    def _restrict(self, adata: AnnData, split: Split, fold: int) -> Split:
        """Keep `scored_drugs` drugs of the test, drawn by the seed, with all their doses."""
        drugs = sorted(split.conditions["perturbation"].astype(str).unique())
        if not 0 < self.scored_drugs < len(drugs):
            return split
        kept = np.random.default_rng([self.seed, fold, 3]).permutation(drugs)[: self.scored_drugs]
        conditions = split.conditions[split.conditions["perturbation"].isin(kept)]
        test = split.test[adata.obs.loc[split.test, "perturbation"].isin(kept).to_numpy()]
        return replace(split, conditions=conditions, test=test)


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
    try:
        cells = design.load()
    except DataUnavailable as absent:
        return _open_deposit(design, out, absent)
    folds = design.splits(cells)
    audits = [_audit_entry(mode, cells, one) for mode, each in folds.items() for one in each]
    truth = evaluation.build_truth(
        cells, next(iter(folds.values())), seed=design.seed, facts=_facts(design, cells)
    )
    predictions = predict(design.models, cells, folds, truth)
    sources = {name: source_hash(Path(inspect.getfile(MODELS[name]))) for name in design.models}
    about = manifest(
        ROOT,
        page=design.page,
        tier=design.tier,
        parameters={k: v for k, v in asdict(design).items() if k not in ("page", "tier")},
        data={
            design.data: data.checksum(design.data)
            if design.data in data.DATASETS
            else cells.uns["origin"]["sha256"][0]
        },
        model_sources=sources,
        audits=audits,
    )
    evaluation.write_bundle(Bundle(truth, predictions, about), out)
    bundle = evaluation.read_bundle(out)  # numbers come from what is stored
    scores = evaluation.score(bundle)
    to_csv(scores, out / SCORES)
    layout = layout_of(cells, next(iter(folds.values())))
    layout.to_csv(out / LAYOUT, index=False)
    return Study(bundle, scores, out, audits, cells, layout)


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
        table = groups.agg(part=lambda parts: " and ".join(sorted(set(parts))), cells="size").reset_index()
        held = ", ".join(split.held_out[:2]) + (
            f" and {len(split.held_out) - 2} more" if len(split.held_out) > 2 else ""
        )
        tables.append(table.assign(fold=held or "cells at random"))
    return pd.concat(tables, ignore_index=True)


def _open_deposit(design: Design, out: Path, absent: DataUnavailable) -> Study:
    open_deposit(design.page, design.seed, MANIFEST, out, absent)
    bundle = evaluation.read_bundle(out)
    layout = pd.read_csv(out / LAYOUT, keep_default_na=False)
    return Study(bundle, evaluation.score(bundle), out, bundle.manifest["audits"], None, layout)


def audit_page(page: Page) -> list[dict]:
    """Make the splits of a setting page and audit them; one entry per fold and mode.

    Raises:
        LeakError: a model could have seen what it is asked.
        ConfigError: the page has no setting.
    """
    if not page.scored:
        raise ConfigError(f"Page {page.id!r} has no split to audit.")
    design = Design(
        page=page.id, **{k: v for k, v in page.parameters.items() if k in Design.__dataclass_fields__}
    )
    cells = design.load()
    return [_audit_entry(mode, cells, one) for mode, each in design.splits(cells).items() for one in each]


def _audit_entry(mode: str, cells: AnnData, split: Split) -> dict:
    """Audit a split as models are shown it, with all controls and without the reference controls; raises LeakError."""
    report, blind = splits.audit(cells, split), split.blind()
    blinded = splits.audit(cells, blind, fitted={"predictors": blind.visible})
    checks = [
        *report.checks,
        *(check for check in blinded.checks if "predictors" in check or "reference" in check),
    ]
    return {"mode": mode, "held_out": list(split.held_out), "counts": report.counts, "checks": checks}


def _facts(design: Design, cells: AnnData) -> dict:
    from hashlib import sha256

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


def predict(
    models: Sequence[str], cells: AnnData, folds: Mapping[str, list[Split]], truth: Truth
) -> list[Predicted]:
    """Fit and ask every model on every fold and mode; one entry for modes that gave the same arrays.

    Each model predicts twice: with all controls visible, and without the reference controls, so that metrics may
    subtract different controls from truth and prediction. It is fitted again only where its training cells differ.
    """
    made = {mode: {name: _Making(name, truth) for name in models} for mode in folds}
    for mode, each in folds.items():
        for split in each:
            whole, blind = _Asked.of(cells, split), _Asked.of(cells, split.blind())
            if len(whole.training.cells) == len(blind.training.cells):
                blind = replace(blind, training=whole.training)
            for name in models:
                made[mode][name].add(split, whole, blind)
    results = []
    for name in models:
        entries = [made[mode][name].predicted(mode) for mode in folds]
        results += [replace(entries[0], mode="AB")] if len(entries) == 2 and _same(*entries) else entries
    return results


def _same(one: Predicted, other: Predicted) -> bool:
    if one.mean is None or other.mean is None:
        return one.reason == other.reason
    return np.array_equal(one.mean, other.mean, True) and np.array_equal(
        one.mean_split, other.mean_split, True
    )


@dataclass(frozen=True)
class _Asked:
    """Training and query of one split; the simulator's truth is kept apart, so that no model can read it."""

    training: Training
    query: Query
    truth: pd.DataFrame | None

    @classmethod
    def of(cls, cells: AnnData, split: Split) -> "_Asked":
        def part(names: np.ndarray) -> AnnData:
            some = cells[names].copy()
            some.uns.pop("truth", None)
            return some

        known = cells.uns.get("truth")
        truth = None if known is None else pd.DataFrame(known["expected_lognorm"], index=known["conditions"])
        training = Training(part(split.visible), frozenset(split.valid))
        return cls(training, Query(part(split.query), split.conditions), truth)

    def to(self, made: type) -> Query:
        """The query for this model; only one that is declared to read the simulator's truth is given it."""
        return replace(self.query, truth=self.truth) if getattr(made, "reads_truth", False) else self.query


class _Making:
    """Predictions of one model in one mode, filled fold by fold."""

    def __init__(self, name: str, truth: Truth):
        self.made, self.truth, self.reason = MODELS[name], truth, ""
        self.arrays = {key: np.full(truth.mean.shape, np.nan) for key in ("mean", "mean_split")}
        self.extra: dict[str, np.ndarray] = {}

    def add(self, split: Split, whole: _Asked, blind: _Asked) -> None:
        """Fit and ask on one fold; a reason why it does not apply there makes it not applicable on the page."""
        if self.reason:
            return
        rows = self.truth.obs.index.get_indexer(split.conditions.index)
        try:
            fitted = self.made().fit(whole.training)
            full = fitted.predict(whole.to(self.made))
            if blind.training is not whole.training:
                fitted = self.made().fit(blind.training)
            self.arrays["mean_split"][rows] = fitted.predict(blind.to(self.made)).mean
        except NotApplicable as why:
            self.reason = str(why)
            return
        self.arrays["mean"][rows] = full.mean
        if full.cells is not None:
            _describe_cells(self.extra, rows, full, self.truth)

    def predicted(self, mode: str) -> Predicted:
        """The finished entry at the resolution of a bundle."""
        entry = Predicted(self.made.name, self.made.title, self.made.role, mode, reason=self.reason)
        return (
            entry
            if self.reason
            else replace(entry, **{k: stored(v) for k, v in self.arrays.items()}, **self.extra)
        )


def _describe_cells(extra: dict[str, np.ndarray], rows: np.ndarray, made: Prediction, truth: Truth) -> None:
    """Keep what scores need of generated cells: variances, counts, PCA coordinates, top genes against control."""
    n, genes = truth.mean.shape
    if not extra:
        extra["variance"] = np.full((n, genes), np.nan, np.float32)
        extra["n_cells"] = np.zeros(n, int)
        extra["coordinates"] = np.full((n, MAX_CELLS, truth.n_components), np.nan, np.float16)
        extra["deg"] = np.full((n, min(N_DEG, genes)), -1, np.int32)
    where = np.searchsorted(truth.contexts, truth.obs["context"].astype(str).to_numpy()[rows])
    control = [np.asarray(truth.controls[name])[where] for name in ("mean", "variance", "n")]
    counts = np.array([len(one) for one in made.cells])
    extra["variance"][rows] = stored(made.variance, VARIANCE_STEP)
    extra["n_cells"][rows] = counts
    for row, one in zip(rows, made.cells, strict=True):
        some = one[np.linspace(0, len(one) - 1, min(len(one), MAX_CELLS)).astype(int)]
        extra["coordinates"][row, : len(some)] = truth.project(some)
    for i, row in enumerate(rows):
        base = (control[0][i], control[1][i], control[2][i : i + 1])
        t = welch_t(made.mean[i : i + 1], made.variance[i : i + 1], counts[i : i + 1], *base)
        extra["deg"][row] = top_genes(t, extra["deg"].shape[1])[0]


def bundle_folder(out: str, page: str) -> Path:
    """Folder for what a page keeps: `out`, or `runs/<page>/bundle` of the project for a notebook opened by hand."""
    return (ROOT / out) if out else ROOT / "runs" / page / "bundle"
