"""Distances of one half of a condition's cells from the other, for many halvings in the time of a few.

The pairs within either half and across are all pairs of the same cells: they are measured once, and each halving is
a sum over blocks of one matrix.
"""

import numpy as np
from scipy.spatial.distance import pdist, squareform

from perturbook.evaluation.distribution import LENGTHS


def two_samples_of_halves(cells: np.ndarray, in_a: np.ndarray, unit: float) -> np.ndarray:
    """`edist_u` and `mmd2_u` of half A of some cells from half B, as prediction and truth, for every halving.

    Args:
        cells: coordinates, `(cells, dims)`.
        in_a: masks of half A, `(halvings, cells)`.
        unit: distance that kernel lengths are multiples of, as in `distribution.mmd2_u`.

    Returns:
        `(halvings, 2)`, equal to the functions up to rounding; NaN where they are.

    Source: metrics.md sections 5.1, 5.2 and 6.2.
    """
    d = squareform(pdist(np.asarray(cells, dtype=np.float64)))
    found = np.full((len(in_a), 2), np.nan)
    within, across, within_hat = _block_means(d, in_a)
    found[:, 0] = 2 * across - within - np.nan_to_num(within_hat)  # a single cell has no distance of its own
    if unit > 0:
        kernel = np.mean([np.exp(-((d / (length * unit)) ** 2) / 2) for length in LENGTHS], axis=0)
        np.fill_diagonal(kernel, 0)
        within, across, within_hat = _block_means(kernel, in_a)
        found[:, 1] = within + np.nan_to_num(within_hat, nan=1.0) - 2 * across
    return np.where(in_a.any(axis=1)[:, None], found, np.nan)


def _block_means(pairs: np.ndarray, in_a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means over pairs within B, across, and within A, `(halvings,)` each, of a matrix with an empty diagonal; NaN for none."""
    a, b = in_a.astype(float), (~in_a).astype(float)
    m, n = a.sum(axis=1), b.sum(axis=1)
    from_a, from_b = a @ pairs, b @ pairs
    sums = np.sum(from_b * b, axis=1), np.sum(from_a * b, axis=1), np.sum(from_a * a, axis=1)
    counts = n * (n - 1), m * n, m * (m - 1)
    return tuple(one / np.where(count > 0, count, np.nan) for one, count in zip(sums, counts, strict=True))
