"""Distances between the cells of one condition and the cells predicted for it.

Both statistics compare three sets of pairs: within the truth, across, and within the prediction. They work in any
space; a bundle holds coordinates in the principal components of the truth and no cell, so that scores of a bundle are
of that space. The variant in gene space is the same function called with cells, where cells are at hand.
"""

import numpy as np
from scipy.spatial.distance import cdist, pdist

from perturbook.errors import ShapeError

LENGTHS = (0.5, 1.0, 2.0)
"""Lengths of the kernels of `mmd2_u`, in median distances of two true cells. Source: metrics.md section 5.2 (choose)."""


def pair_distances(
    truth: np.ndarray, predicted: np.ndarray, *, squared: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Euclidean distances within the truth, across, and within the prediction, each a flat array.

    Args:
        truth: measured cells in a space fixed for all methods, `(cells, dims)`.
        predicted: generated cells, `(cells, dims)`.
        squared: squared distances. Energy distances then only see the means.

    Raises:
        ShapeError: an argument is not two-dimensional or the dims differ.
    """
    truth, predicted = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if truth.ndim != 2 or predicted.ndim != 2 or truth.shape[1] != predicted.shape[1]:
        raise ShapeError(
            f"true cells are {truth.shape}, predicted cells {predicted.shape}; need (cells, dims)."
        )
    norm = "sqeuclidean" if squared else "euclidean"
    return pdist(truth, norm), cdist(truth, predicted, norm).ravel(), pdist(predicted, norm)


def energy_u(within: np.ndarray, across: np.ndarray, within_hat: np.ndarray) -> float:
    """`edist_u` from the distances of `pair_distances`."""
    if not len(within) or not len(across):
        return float("nan")
    spread_hat = within_hat.mean() if len(within_hat) else 0.0
    return float(2 * across.mean() - within.mean() - spread_hat)


def edist_u(truth: np.ndarray, predicted: np.ndarray, *, squared: bool = False) -> float:
    """Energy distance, U-statistic: unbiased, so it may be negative, and it is stored negative.

    2 mean_ij |x_i - y_j| - mean_{i != i'} |x_i - x_i'| - mean_{j != j'} |y_j - y_j'|

    Args:
        truth: as in `pair_distances`.
        predicted: generated cells, `(cells, dims)`. One row is a point mass (a mean-only prediction): any
            number of copies of it gives the same value, so its inner distance is 0.
        squared: squared Euclidean distances. The statistic then only sees the means.

    Returns:
        Scalar in (-inf, inf), 0 in expectation for equal distributions; NaN for fewer than two true cells or
        no predicted cell.

    Raises:
        ShapeError: as in `pair_distances`.

    Source: metrics.md section 5.1.
    """
    return energy_u(*pair_distances(truth, predicted, squared=squared))


def edist_v(truth: np.ndarray, predicted: np.ndarray, *, squared: bool = False) -> float:
    """Energy distance, V-statistic: includes each cell's zero distance to itself, so it is biased up.

    The bias is E|X - X'| / n + E|Y - Y'| / m: a V-statistic ranks conditions by their number of cells.
    Only the Scores chapter uses it.

    Args:
        truth: `(cells, dims)`.
        predicted: `(cells, dims)`.
        squared: squared Euclidean distances.

    Returns:
        Scalar in [0, inf) up to rounding; NaN where a side has no cells.

    Raises:
        ShapeError: as in `pair_distances`.

    Source: metrics.md section 5.1.
    """
    within, across, within_hat = pair_distances(truth, predicted, squared=squared)
    n, m = len(truth), len(predicted)
    if min(n, m) < 1:
        return float("nan")
    return float(2 * across.mean() - 2 * within.sum() / n**2 - 2 * within_hat.sum() / m**2)


def median_distance(truth: np.ndarray) -> float:
    """Median distance of two true cells, the unit of kernel lengths; NaN for fewer than two cells."""
    within = pdist(np.asarray(truth, dtype=np.float64))
    return float(np.median(within)) if len(within) else float("nan")


def kernel_u(
    within: np.ndarray, across: np.ndarray, within_hat: np.ndarray, lengths: tuple[float, ...]
) -> float:
    """`mmd2_u` from the distances of `pair_distances`."""
    if not len(within) or not len(across) or not all(length > 0 for length in lengths):
        return float("nan")
    similar_hat = _kernel(within_hat, lengths) if len(within_hat) else 1.0
    return float(_kernel(within, lengths) + similar_hat - 2 * _kernel(across, lengths))


def mmd2_u(truth: np.ndarray, predicted: np.ndarray, lengths: tuple[float, ...]) -> float:
    """Squared maximum mean discrepancy, U-statistic, of Gaussian kernels exp(-|x - y|^2 / (2 l^2)) averaged over l.

    mean_{i != i'} k(x_i, x_i') + mean_{j != j'} k(y_j, y_j') - 2 mean_ij k(x_i, y_j)

    Args:
        truth: as in `pair_distances`.
        predicted: generated cells, `(cells, dims)`; one row is a point mass, whose similarity to itself is 1.
        lengths: l of each kernel, such as `LENGTHS` times `median_distance(truth)`: of the true cells only, because
            kernels set from predictions would change per method.

    Returns:
        Scalar, 0 in expectation for equal distributions, and negative about half the time then; NaN for fewer than
        two true cells, no predicted cell, or a length that is not positive.

    Raises:
        ShapeError: as in `pair_distances`.

    Source: metrics.md section 5.2; Gretton et al. 2012.
    """
    return kernel_u(*pair_distances(truth, predicted), lengths)


def _kernel(distances: np.ndarray, lengths: tuple[float, ...]) -> float:
    return float(np.mean([np.exp(-((distances / length) ** 2) / 2).mean() for length in lengths]))
