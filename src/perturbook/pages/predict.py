"""Every model asked on every fold and mode of a study, shown what the split shows and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.errors import NotApplicable, ShapeError
from perturbook.evaluation.bundle import Predicted
from perturbook.evaluation.differential import top_genes, welch_t
from perturbook.evaluation.truth import MAX_CELLS, N_DEG, VARIANCE_STEP, Truth, stored
from perturbook.models import MODELS, Prediction, Query, Training
from perturbook.models.protocol import Model
from perturbook.splits import Split


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
    arrays = ("mean", "mean_split", "variance", "coordinates")
    return all(_equal(getattr(one, name), getattr(other, name)) for name in arrays)


def _equal(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other, equal_nan=True)


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
            full = self._ask(fitted, whole)
            if blind.training is not whole.training:
                fitted = self.made().fit(blind.training)
            self.arrays["mean_split"][rows] = self._ask(fitted, blind).mean
        except NotApplicable as why:
            self.reason = str(why)
            return
        self.arrays["mean"][rows] = full.mean
        if full.variance is not None:
            blank = np.full(self.truth.mean.shape, np.nan, np.float32)
            self.extra.setdefault("variance", blank)[rows] = stored(full.variance, VARIANCE_STEP)
        if full.cells is not None:
            _describe_cells(self.extra, rows, full, self.truth)

    def _ask(self, fitted: Model, asked: _Asked) -> Prediction:
        made, shape = (
            fitted.predict(asked.to(self.made)),
            (len(asked.query.conditions), len(self.truth.genes)),
        )
        if made.mean.shape != shape:
            raise ShapeError(
                f"{self.made.name} predicted means of shape {made.mean.shape}, expected {shape}."
            )
        if made.cells is not None and made.variance is None:
            made = replace(made, variance=Prediction.from_cells(made.cells).variance)
        return made

    def predicted(self, mode: str) -> Predicted:
        """The finished entry at the resolution of a bundle."""
        entry = Predicted(self.made.name, self.made.title, self.made.role, mode, reason=self.reason)
        return (
            entry
            if self.reason
            else replace(entry, **{k: stored(v) for k, v in self.arrays.items()}, **self.extra)
        )


def _describe_cells(extra: dict[str, np.ndarray], rows: np.ndarray, made: Prediction, truth: Truth) -> None:
    """Keep what else scores need of generated cells: counts, PCA coordinates, top genes against control."""
    n, genes = truth.mean.shape
    if "n_cells" not in extra:
        extra["n_cells"] = np.zeros(n, int)
        extra["coordinates"] = np.full((n, MAX_CELLS, truth.n_components), np.nan, np.float16)
        extra["deg"] = np.full((n, min(N_DEG, genes)), -1, np.int32)
    where = np.searchsorted(truth.contexts, truth.obs["context"].astype(str).to_numpy()[rows])
    control = [np.asarray(truth.controls[name])[where] for name in ("mean", "variance", "n")]
    counts = np.array([len(one) for one in made.cells])
    extra["n_cells"][rows] = counts
    for row, one in zip(rows, made.cells, strict=True):
        some = one[np.linspace(0, len(one) - 1, min(len(one), MAX_CELLS)).astype(int)]
        extra["coordinates"][row, : len(some)] = truth.project(some)
    for i, row in enumerate(rows):
        base = (control[0][i], control[1][i], control[2][i : i + 1])
        t = welch_t(made.mean[i : i + 1], made.variance[i : i + 1], counts[i : i + 1], *base)
        extra["deg"][row] = top_genes(t, extra["deg"].shape[1])[0]
