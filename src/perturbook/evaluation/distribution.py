"""Distances between the cells of one condition and the cells predicted for it."""

import numpy as np
from scipy.spatial.distance import cdist, pdist

from perturbook.errors import ShapeError


def edist_u(truth: np.ndarray, predicted: np.ndarray, *, squared: bool = False) -> float:
    """Energy distance, U-statistic: unbiased, so it may be negative, and it is stored negative.

    2 mean_ij |x_i - y_j| - mean_{i != i'} |x_i - x_i'| - mean_{j != j'} |y_j - y_j'|

    Args:
        truth: measured cells in a space fixed for all methods, `(cells, dims)`.
        predicted: generated cells, `(cells, dims)`. One row is a point mass (a mean-only prediction): any
            number of copies of it gives the same value, so its inner distance is 0.
        squared: squared Euclidean distances. The statistic then only sees the means.

    Returns:
        Scalar in (-inf, inf), 0 in expectation for equal distributions; NaN for fewer than two true cells or
        no predicted cell.

    Raises:
        ShapeError: an argument is not two-dimensional or the dims differ.

    Source: metrics.md section 5.1.
    """
    truth, predicted, norm = _cells(truth, predicted, squared)
    if len(truth) < 2 or len(predicted) < 1:
        return float("nan")
    within = pdist(truth, norm).mean()
    within_hat = pdist(predicted, norm).mean() if len(predicted) > 1 else 0.0
    return float(2 * cdist(truth, predicted, norm).mean() - within - within_hat)


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
        ShapeError: as in `edist_u`.

    Source: metrics.md section 5.1.
    """
    truth, predicted, norm = _cells(truth, predicted, squared)
    n, m = len(truth), len(predicted)
    if min(n, m) < 1:
        return float("nan")
    within, within_hat = 2 * pdist(truth, norm).sum() / n**2, 2 * pdist(predicted, norm).sum() / m**2
    return float(2 * cdist(truth, predicted, norm).mean() - within - within_hat)


def _cells(truth: np.ndarray, predicted: np.ndarray, squared: bool) -> tuple[np.ndarray, np.ndarray, str]:
    truth, predicted = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if truth.ndim != 2 or predicted.ndim != 2 or truth.shape[1] != predicted.shape[1]:
        raise ShapeError(
            f"true cells are {truth.shape}, predicted cells {predicted.shape}; need (cells, dims)."
        )
    return truth, predicted, "sqeuclidean" if squared else "euclidean"
