"""Wilcoxon rank-sum of treated cells against controls, all genes at once, and Benjamini-Hochberg over them.

The controls of a context are sorted once. Each condition then sorts its own cells and merges them into the
sorted controls, which gives the ranks and the ties of the pooled cells without ranking the controls again.
Genes are shared out among as many threads as numba is given (NUMBA_NUM_THREADS); each is computed on its own, so the
numbers do not depend on it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import ndtr

from perturbook.errors import InputError, ShapeError


@dataclass(frozen=True)
class Ranked:
    """Control cells of one context, ready to be compared with many conditions."""

    values: np.ndarray
    """Controls sorted within each gene, `(genes, cells)`, float32 where that loses nothing, else float64."""
    lowest: np.ndarray
    """Controls that hold the smallest value of the gene, which are mostly its zeros, `(genes,)`."""
    ties: np.ndarray
    """Sum over groups of t equal controls of t^3 - t, `(genes,)`."""

    @classmethod
    def of(cls, controls: np.ndarray) -> "Ranked":
        """Sort controls `(cells, genes)`.

        Raises:
            ShapeError: not two-dimensional. InputError: no cells.
        """
        values = _by_gene(controls)
        if not values.shape[1]:
            raise InputError("There are no control cells to compare with; give at least one.")
        nothing, zero = values[:, :0], np.zeros(len(values))
        _, ties = _shared_out(_sort_and_merge, values, nothing, nothing, zero.astype(int), zero)
        return cls(values, np.sum(values == values[:, :1], axis=1), ties[0])


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
    return p_values_of_halves(treated, np.asarray(treated)[:0], ranked, continuity=continuity)[0]


def p_values_of_halves(
    first: np.ndarray, second: np.ndarray, ranked: Ranked, *, continuity: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`p_values` of all cells of a condition and of each of two halves, in the time of one.

    Args:
        first: `(cells, genes)`.
        second: the other cells, `(cells, genes)`.
        ranked: as in `p_values`.
        continuity: as in `p_values`.

    Returns:
        p-values of all cells, of the first half and of the second, `(genes,)` each; NaN where there is no such cell,
        and in all three where any value is NaN.

    Raises:
        ShapeError: the gene axes differ.

    Source: as `p_values`.
    """
    halves = _by_gene(first), _by_gene(second)
    for one in halves:
        if len(one) != len(ranked.values):
            raise ShapeError(f"treated cells have {len(one)} genes, the controls {len(ranked.values)}.")
    dtype = np.result_type(*halves, ranked.values)
    halves = [one.astype(dtype, copy=False) for one in halves]
    control = ranked.values.astype(dtype, copy=False)
    wins, ties = _shared_out(_sort_and_merge, *halves, control, ranked.lowest, ranked.ties)
    n_first, n_second = (one.shape[1] for one in halves)
    undefined = np.zeros(len(ranked.values), bool)
    for values in (*halves, ranked.values):  # sorting puts NaN last
        undefined |= np.isnan(values[:, -1:]).any(axis=1)
    counts, n0 = (n_first + n_second, n_first, n_second), ranked.values.shape[1]
    found = (_p(*one, n0, continuity) for one in zip(wins, ties, counts, strict=True))
    return tuple(np.where(undefined, np.nan, p) for p in found)


def _p(wins: np.ndarray, ties: np.ndarray, n: int, n0: int, continuity: bool) -> np.ndarray:
    if n == 0:
        return np.full(len(wins), np.nan)
    variance = n * n0 / 12 * (n + n0 + 1 - ties / ((n + n0) * (n + n0 - 1)))
    distance = np.abs(wins - n * n0 / 2) - (0.5 if continuity else 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.minimum(2 * ndtr(-distance / np.sqrt(variance)), 1)
    return np.where(variance > 0, p, 1.0)


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
    order = np.argsort(p, axis=-1)  # NaN last; the order of equal values does not matter
    m = np.sum(~np.isnan(p), axis=-1, keepdims=True)
    q = np.take_along_axis(p, order, axis=-1) * m / np.arange(1, p.shape[-1] + 1)
    q = np.minimum(np.fmin.accumulate(q[..., ::-1], axis=-1)[..., ::-1], 1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, q, axis=-1)
    return np.where(np.isnan(p), np.nan, adjusted)


def _by_gene(cells: np.ndarray) -> np.ndarray:
    """A copy `(genes, cells)`, not sorted yet; float32 where that loses nothing, because it sorts and merges faster."""
    cells = np.asarray(cells)
    if cells.ndim != 2:
        raise ShapeError(f"cells are {cells.shape}, expected (cells, genes).")
    narrow = cells.astype(np.float32)
    kept = narrow if np.array_equal(narrow, cells) else cells.astype(np.float64)
    return np.array(kept.T, order="C")


@cache
def _pool() -> tuple[int, ThreadPoolExecutor]:
    from numba import get_num_threads

    return get_num_threads(), ThreadPoolExecutor(get_num_threads())


def _shared_out(work: Callable, *by_gene: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`work` on parts of the genes, one part a thread, put together again along the last axis."""
    n, pool = _pool()
    parts = [[one[i * len(one) // n : (i + 1) * len(one) // n] for one in by_gene] for i in range(n)]
    return tuple(
        np.concatenate(made, axis=-1) for made in zip(*pool.map(lambda p: work(*p), parts), strict=True)
    )


def _sort_and_merge(first, second, *controls) -> tuple[np.ndarray, np.ndarray]:
    """Sort treated cells in place, then `_merge`."""
    first.sort(axis=1)
    second.sort(axis=1)
    return _merger()(first, second, *controls)


@cache
def _merger():
    """`_merge` compiled; numba caches the machine code on disk, and is imported here because that takes a second."""
    from numba import njit

    return njit(cache=True, nogil=True)(_merge)


def _merge(first, second, control, lowest, control_ties):
    """For all treated cells, the first half and the second: pairs won against controls, and sum(t^3 - t) of the pool.

    All sides are `(genes, cells)` and sorted; a tie wins one half. Results are `(3, genes)`. One walk along the values
    of a gene serves the three; the lowest value, mostly zero, is stepped over, because most cells hold it.
    """
    genes, n_first = first.shape
    n_second, n0 = second.shape[1], control.shape[1]
    wins, ties = np.empty((3, genes)), np.empty((3, genes))
    for g in range(genes):
        won_a = won_b = 0.0
        ties_all = ties_a = ties_b = control_ties[g]
        i = j = k = 0
        while i < n_first or j < n_second:
            from_second = i == n_first or (j < n_second and second[g, j] < first[g, i])
            value = second[g, j] if from_second else first[g, i]
            start_i, start_j = i, j
            while i < n_first and first[g, i] == value:
                i += 1
            while j < n_second and second[g, j] == value:
                j += 1
            if i == start_i and j == start_j:  # NaN equals nothing, itself included
                break
            while k < n0 and control[g, k] < value:
                k += 1
            below = k
            if k == 0 and n0 > 0 and control[g, 0] == value:
                k = lowest[g]
            while k < n0 and control[g, k] == value:
                k += 1
            a, b, shared = float(i - start_i), float(j - start_j), float(k - below)
            won_a += a * (below + shared / 2)
            won_b += b * (below + shared / 2)
            alone = shared**3 - shared
            ties_all += (a + b + shared) ** 3 - (a + b + shared) - alone
            ties_a += (a + shared) ** 3 - (a + shared) - alone
            ties_b += (b + shared) ** 3 - (b + shared) - alone
        wins[0, g], wins[1, g], wins[2, g] = won_a + won_b, won_a, won_b
        ties[0, g], ties[1, g], ties[2, g] = ties_all, ties_a, ties_b
    return wins, ties
