"""Means of per-cell scores and their intervals: cells resampled within their type, for one embedding or a pair of them.

Cells are not independent: those of one donor or one well share more than their type, and where a file has no donor column
nothing better than cells can be resampled. Such an interval is too narrow to say what another donor would give; it says how
far the mean would move with other cells of the same donors. The embedding is held fixed: nothing is trained or embedded
again, and neighbours stay those of the full set.
"""

import numpy as np

from perturbook.errors import ShapeError
from perturbook.evaluation.intervals import MIN_CONDITIONS, Interval

KIND = "95 % bootstrap over cells within types"


def bootstrap_cells(
    values: np.ndarray, types: np.ndarray, *, balanced: bool = True, n: int = 2_000, seed: int = 0
) -> Interval:
    """Average a per-cell score and bootstrap a percentile 95 % interval over cells, stratified by type.

    Args:
        values: one value per cell `(cells,)`; NaN is undefined and left out.
        types: label per cell `(cells,)`; every resample has as many cells of each type as there are.
        balanced: the mean over types of the mean over their cells, so that a rare type weighs as much as a common one; False
            for the plain mean over cells.
        n: resamples.
        seed: decides the resamples.

    Returns:
        An `Interval` whose counts are cells; without bounds below 10 defined cells.

    Raises:
        ShapeError: values and types differ in length.

    Source: Efron and Tibshirani 1993, chapter 13; strata by type: our choice, because which types a tube holds is fixed.
    """
    values, types = np.asarray(values, dtype=np.float64), np.asarray(types)
    if values.shape != types.shape or values.ndim != 1:
        raise ShapeError(f"values are {values.shape} and types {types.shape}; give one of each per cell.")
    defined = ~np.isnan(values)
    kept, strata = values[defined], types[defined]
    if not len(kept):
        return Interval(np.nan, np.nan, np.nan, 0, len(values), "undefined")
    rng, means, mean = np.random.default_rng(seed), np.zeros(n), 0.0
    names = np.unique(strata)
    for name in names:
        own = np.sort(kept[strata == name])  # sorted, so that the order of the cells does not matter
        weight = 1 / len(names) if balanced else len(own) / len(kept)
        drawn = own[rng.integers(len(own), size=(n, len(own)))]
        means, mean = means + weight * drawn.mean(axis=1), mean + weight * own.mean()
    if len(kept) < MIN_CONDITIONS:
        return Interval(mean, np.nan, np.nan, len(kept), len(values), "too few cells")
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(mean), float(low), float(high), len(kept), len(values), KIND)


def bootstrap_cells_difference(
    first: np.ndarray,
    second: np.ndarray,
    types: np.ndarray,
    *,
    balanced: bool = True,
    n: int = 2_000,
    seed: int = 0,
) -> Interval:
    """Bootstrap the paired difference `first - second` of two embeddings of the same cells.

    Both are averaged over the same resampled cells, so what makes a cell easy for both cancels: for identical embeddings the
    interval is exactly [0, 0]. Cells where either is undefined are left out.

    Args:
        first: per-cell score of one embedding `(cells,)`.
        second: that of the other, same cells in the same order.
        types: label per cell `(cells,)`.
        balanced: as in `bootstrap_cells`.
        n: resamples.
        seed: decides the resamples.

    Raises:
        ShapeError: the arguments differ in length.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise ShapeError(f"the scores have shapes {first.shape} and {second.shape}; score the same cells.")
    return bootstrap_cells(first - second, types, balanced=balanced, n=n, seed=seed)
