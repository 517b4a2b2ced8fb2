"""Whole counts behind log-normalised values, for public files that keep only the logarithms.

Source: `datasets.md` section 3.
"""

import numpy as np
import scipy.sparse as sp

from perturbook.data.findings import cells_where
from perturbook.errors import InputError


def counts_of_total(lognorm: sp.csr_matrix, per_count, tolerance: float, where: str) -> sp.csr_matrix:
    """Counts where the total of every cell is known: round(expm1(lognorm) / per_count).

    Args:
        lognorm: log1p of scaled counts (cells, genes).
        per_count: value of expm1(lognorm) that one count has in each cell (cells,): the common total over the own.
        tolerance: largest distance from a whole number that is allowed.
        where: the file, for the message.

    Returns:
        CSR float32 (cells, genes), non-zero where `lognorm` is stored.

    Raises:
        InputError: a count is not whole.
    """
    exact = np.expm1(lognorm.data.astype(float)) / np.repeat(per_count, np.diff(lognorm.indptr))
    bad = ~(np.abs(exact - np.round(exact)) <= tolerance)  # NaN is bad too
    if bad.any():
        raise InputError(
            f"{bad.sum():,} of {len(bad):,} values of {where} do not give whole counts, such as {exact[bad][0]:.6g}: "
            "its totals belong to other cells, or its values are no such logarithms."
        )
    return sp.csr_matrix((np.round(exact).astype(np.float32), lognorm.indices, lognorm.indptr), lognorm.shape)


def counts_of_smallest(
    lognorm: sp.csr_matrix, names, where: str, largest: int = 12, tolerance: float = 1e-6
) -> tuple[sp.csr_matrix, np.ndarray]:
    """Counts where no total is known: the smallest value of a cell is taken for the smallest possible count k.

    With e = expm1(lognorm) and its smallest value m in a cell, k is the smallest integer up to `largest` for which all
    e * k / m are whole; then the counts are e * k / m and k counts were m of 1e4, so that the total was 1e4 * k / m.
    A cell all of whose counts share a divisor cannot be told from the same cell divided by it: compare the totals with
    a depth known otherwise.

    Args:
        lognorm: log1p of counts scaled to 1e4 per cell (cells, genes), float64; float32 is too coarse for `tolerance`.
        names: cell names, for the message.
        where: the file, for the message.
        largest: the largest k tried.
        tolerance: largest distance from a whole number that is allowed.

    Returns:
        Counts, CSR float32 (cells, genes), and totals (cells,). A cell without counts has a total of NaN.

    Raises:
        InputError: in some cell no k gives whole counts.
    """
    cell = np.repeat(np.arange(lognorm.shape[0]), np.diff(lognorm.indptr))
    values = np.expm1(lognorm.data.astype(float))
    smallest = np.full(lognorm.shape[0], np.nan)
    np.fmin.at(smallest, cell, values)
    k = np.zeros(lognorm.shape[0])
    for candidate in range(1, largest + 1):
        exact = values * candidate / smallest[cell]
        fractions = ~(np.abs(exact - np.round(exact)) <= tolerance)  # so that NaN counts as one
        k[(k == 0) & (np.bincount(cell, fractions, len(k)) == 0)] = candidate
    bad = (k == 0) | (smallest <= 0)
    if bad.any():
        raise InputError(
            f"No counts can be recovered from {where}: expm1 of the values over its smallest in the cell, times 1 to "
            f"{largest}, is not whole in {cells_where(bad, names)}. The values are not log1p of scaled counts."
        )
    counts = np.round(values * k[cell] / smallest[cell]).astype(np.float32)
    return sp.csr_matrix((counts, lognorm.indices, lognorm.indptr), lognorm.shape), 1e4 * k / smallest
