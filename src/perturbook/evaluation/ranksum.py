"""Wilcoxon rank-sum of treated cells against controls, all genes at once, and Benjamini-Hochberg over them.

The controls of a context are sorted once. Each condition then sorts its own cells and merges them into the
sorted controls, which gives the ranks and the ties of the pooled cells without ranking the controls again.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import ndtr

from perturbook.errors import InputError, ShapeError


@dataclass(frozen=True)
class Ranked:
    """Control cells of one context, ready to be compared with many conditions."""

    values: np.ndarray
    """Controls sorted within each gene, `(genes, cells)`, float64."""
    ties: np.ndarray
    """Sum over groups of t equal controls of t^3 - t, `(genes,)`."""

    @classmethod
    def of(cls, controls: np.ndarray) -> "Ranked":
        """Sort controls `(cells, genes)`.

        Raises:
            ShapeError: not two-dimensional. InputError: no cells.
        """
        values = _sorted(controls)
        if not values.shape[1]:
            raise InputError("There are no control cells to compare with; give at least one.")
        _, ties = _merger()(values, np.empty((len(values), 0)), np.zeros(len(values)))
        return cls(values, ties)


def p_values(treated: np.ndarray, ranked: Ranked, *, continuity: bool = True) -> np.ndarray:
    """Compare the cells of one condition with the controls, gene by gene: two-sided asymptotic p-values.

    z = (|U - n n0 / 2| - 1/2) / sqrt(n n0 / 12 * (n + n0 + 1 - sum(t^3 - t) / ((n + n0)(n + n0 - 1))))

    where U counts the pairs in which the treated cell is higher (a tie counts one half) and t are the sizes of the
    groups of equal values in the pooled cells.

    Args:
        treated: cells of one condition, `(cells, genes)`, any monotone scale shared with the controls.
        ranked: `Ranked.of(controls)`.
        continuity: subtract the 1/2, as scipy.stats.mannwhitneyu(method="asymptotic") and pdex (cell-eval) do;
            without it the values are those of scanpy's rank_genes_groups(method="wilcoxon", tie_correct=True).

    Returns:
        Values in [0, 1], `(genes,)`; 1 where all cells hold one value, NaN where a value is NaN or there is no
        treated cell.

    Raises:
        ShapeError: the gene axes differ.

    Source: metrics.md section 5.4; Mann and Whitney 1947, with the usual correction for ties.
    """
    treated = _sorted(treated)
    if len(treated) != len(ranked.values):
        raise ShapeError(f"treated cells have {len(treated)} genes, the controls {len(ranked.values)}.")
    n, n0 = treated.shape[1], ranked.values.shape[1]
    if n == 0:
        return np.full(len(treated), np.nan)
    wins, ties = _merger()(treated, ranked.values, ranked.ties)
    variance = n * n0 / 12 * (n + n0 + 1 - ties / ((n + n0) * (n + n0 - 1)))
    distance = np.abs(wins - n * n0 / 2) - (0.5 if continuity else 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.minimum(2 * ndtr(-distance / np.sqrt(variance)), 1)
    p = np.where(variance > 0, p, 1.0)
    undefined = np.isnan(treated[:, -1]) | np.isnan(ranked.values[:, -1])  # sorting puts NaN last
    return np.where(undefined, np.nan, p)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Adjust p-values for the false discovery rate along the last axis.

    q_(i) = min over j >= i of p_(j) m / j, at most 1, for the m defined p-values in rising order.

    Args:
        p: any shape; NaN is undefined, stays NaN and does not count in m.

    Returns:
        Adjusted p-values, same shape.

    Source: metrics.md section 8; Benjamini and Hochberg 1995.
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, axis=-1, kind="stable")  # NaN last
    m = np.sum(~np.isnan(p), axis=-1, keepdims=True)
    q = np.take_along_axis(p, order, axis=-1) * m / np.arange(1, p.shape[-1] + 1)
    q = np.minimum(np.fmin.accumulate(q[..., ::-1], axis=-1)[..., ::-1], 1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, q, axis=-1)
    return np.where(np.isnan(p), np.nan, adjusted)


def _sorted(cells: np.ndarray) -> np.ndarray:
    """`(genes, cells)`, float64, rising within each gene."""
    cells = np.asarray(cells)
    if cells.ndim != 2:
        raise ShapeError(f"cells are {cells.shape}, expected (cells, genes).")
    return np.sort(np.ascontiguousarray(cells.T, dtype=np.float64), axis=1)


@cache
def _merger():
    """`_merge` compiled; numba caches the machine code on disk, and is imported here because that takes a second."""
    from numba import njit

    return njit(cache=True, nogil=True)(_merge)


def _merge(treated, control, control_ties):
    """Per gene: pairs in which the treated cell is higher (a tie counts one half), and sum(t^3 - t) of the pool.

    Both sides are `(genes, cells)` and sorted. A run of equal treated values is placed by bisection, because most
    genes hold many equal zeros and few other values.
    """
    genes, n = treated.shape
    n0 = control.shape[1]
    wins, ties = np.empty(genes), np.empty(genes)
    for g in range(genes):
        won, tied, i, below = 0.0, control_ties[g], 0, 0
        while i < n:
            value, start = treated[g, i], i
            while i < n and treated[g, i] == value:
                i += 1
            if i == start:  # NaN equals nothing, itself included
                break
            top = n0
            while below < top:  # controls below the value
                middle = (below + top) // 2
                if control[g, middle] < value:
                    below = middle + 1
                else:
                    top = middle
            equal, top = below, n0
            if below < n0 and control[g, below] == value:
                while equal < top:  # controls up to the value
                    middle = (equal + top) // 2
                    if control[g, middle] <= value:
                        equal = middle + 1
                    else:
                        top = middle
            run, shared = float(i - start), float(equal - below)
            won += run * (below + shared / 2)
            tied += ((run + shared) ** 3 - (run + shared)) - (shared**3 - shared)
            below = equal
        wins[g], ties[g] = won, tied
    return wins, ties
