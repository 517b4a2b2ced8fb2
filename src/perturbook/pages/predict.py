"""Every model asked on every fold and mode of a study, shown what the split shows and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.schema import condition_keys
from perturbook.errors import NotApplicable, ShapeError
from perturbook.evaluation.measure import Cells, controls_of
from perturbook.evaluation.predicted import Predicted
from perturbook.evaluation.ranksum import Ranked
from perturbook.evaluation.rounding import coordinate_step, stored, stored_variance
from perturbook.evaluation.summary import different
from perturbook.evaluation.truth import MAX_CELLS, Truth, rng_of
from perturbook.models import MODELS, Prediction, Query, Training
from perturbook.models.protocol import Model
from perturbook.splits import Split


def predict(
    models: Sequence[str], cells: AnnData, folds: Mapping[str, list[Split]], truth: Truth
) -> list[Predicted]:
    """Fit and ask every model on every fold and mode; one entry for modes that gave the same arrays.

    Each model predicts twice: with all controls visible, and without the reference controls, so that metrics may
    subtract different controls from truth and prediction. It is fitted again only where its training cells differ, and
    one that says `fits_once` never: it learns without the reference controls and is asked with and without them.
    """
    described = _Described(cells, next(iter(folds.values())), truth)
    made = {mode: {name: _Making(name, truth, described) for name in models} for mode in folds}
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
        results += (
            [replace(entries[0], mode="AB")] if set(folds) == {"A", "B"} and _same(*entries) else entries
        )
    return results


def _same(one: Predicted, other: Predicted) -> bool:
    if one.mean is None or other.mean is None:
        return one.reason == other.reason
    arrays = ("mean", "mean_split", "variance", "coordinates", "significant")
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
        return cls(
            training, Query(part(split.query), split.conditions, batches=_batches(cells, split)), truth
        )

    def to(self, made: type) -> Query:
        """The query for this model; only one that is declared to read the simulator's truth is given it."""
        return replace(self.query, truth=self.truth) if getattr(made, "reads_truth", False) else self.query


def _batches(cells: AnnData, split: Split) -> pd.DataFrame | None:
    """Share of each batch (plate) among the measured profiles of each condition asked about; None without batches.

    A fact of the design, known before anything is measured.
    """
    if "replicate" not in cells.obs:
        return None
    asked = cells.obs.loc[split.test, ["context", "perturbation", "dose_um", "replicate"]]
    keys = pd.Index(condition_keys(asked), name=split.conditions.index.name)
    shares = pd.crosstab(keys, asked["replicate"].astype(str).to_numpy(), normalize="index")
    return shares.reindex(split.conditions.index, fill_value=0.0)


class _Making:
    """Predictions of one model in one mode, filled fold by fold."""

    def __init__(self, name: str, truth: Truth, described: "_Described"):
        self.made, self.truth, self.described, self.reason = MODELS[name], truth, described, ""
        self.arrays = {key: np.full(truth.mean.shape, np.nan) for key in ("mean", "mean_split")}
        self.extra: dict[str, np.ndarray] = {}

    def add(self, split: Split, whole: _Asked, blind: _Asked) -> None:
        """Fit and ask on one fold; a reason why it does not apply there makes it not applicable on the page."""
        if self.reason:
            return
        rows = self.truth.obs.index.get_indexer(split.conditions.index)
        try:
            once = getattr(self.made, "fits_once", False)  # and then without the reference controls
            fitted = self.made().fit((blind if once else whole).training)
            self._keep(rows, self._ask(fitted, whole))
            if not once and blind.training is not whole.training:
                fitted = self.made().fit(blind.training)
            self.arrays["mean_split"][rows] = self._ask(fitted, blind).mean
        except NotApplicable as why:
            self.reason = str(why)

    def _keep(self, rows: np.ndarray, full: Prediction) -> None:
        """What is kept of a prediction; its cells are described here, so that no two predictions are in memory."""
        self.arrays["mean"][rows] = full.mean
        if full.variance is not None:
            blank = np.full(self.truth.mean.shape, np.nan, np.float32)
            self.extra.setdefault("variance", blank)[rows] = stored_variance(full.variance)
        if full.cells is not None:
            self.described.keep(self.extra, rows, full.cells)

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
        """The finished entry at the resolution of a bundle; a model without a value anywhere is not applicable."""
        entry = Predicted(self.made.name, self.made.title, self.made.role, mode, reason=self.reason)
        if self.reason:
            return entry
        return replace(entry, **{k: stored(v) for k, v in self.arrays.items()}, **self.extra)


class _Described:
    """What scores need of generated cells beyond their moments: counts, coordinates, genes that differ from control."""

    def __init__(self, cells: AnnData, tested: list[Split], truth: Truth):
        self.read, self.truth, self.step = Cells(cells), truth, coordinate_step(truth.coordinates)
        self.controls = controls_of(cells, tested, truth.obs)
        self.ranked = cache(lambda context: Ranked.of(self.read(self.controls[context][0])))

    def keep(self, extra: dict[str, np.ndarray], rows: np.ndarray, made: Sequence[np.ndarray]) -> None:
        """Describe the cells of some conditions `(cells, genes)` in arrays over all conditions, made where missing."""
        n, genes = self.truth.mean.shape
        if "n_cells" not in extra:
            extra["n_cells"] = np.zeros(n, int)
            extra["coordinates"] = np.full((n, MAX_CELLS, self.truth.n_components), np.nan, np.float32)
            extra["significant"] = np.full((n, genes), -1, np.int8)
        seed, obs = self.truth.facts.get("seed", 0), self.truth.obs
        for row, one in zip(rows, made, strict=True):
            extra["n_cells"][row] = len(one)
            some = one[np.linspace(0, len(one) - 1, min(len(one), MAX_CELLS)).astype(int)]
            extra["coordinates"][row, : len(some)] = stored(self.truth.project(some), self.step)
            n_measured = int(obs["n_cells"].iloc[row])
            if len(one) >= n_measured:  # p-values grow with the number of cells: as many as were measured
                drawn = rng_of(seed, f"generated {obs.index[row]}").permutation(len(one))[:n_measured]
                ranked = self.ranked(str(obs["context"].iloc[row]))
                extra["significant"][row] = different(np.asarray(one, dtype=float)[np.sort(drawn)], ranked)
