"""Scores that weigh each gene by how far the condition stands out from the rest: weighted MSE and weighted R2."""

import numpy as np

from perturbook.evaluation.mean_profile import CONSTANT, paired


def effect_weights(t: np.ndarray) -> np.ndarray:
    """Turn |t| of a condition against the rest into weights: ((|t| - min) / (max - min))^2 over the genes.

    Args:
        t: absolute Welch statistics, `(conditions, genes)`.

    Returns:
        Values in [0, 1], same shape; NaN throughout a condition whose statistics are all equal or not all finite.

    Source: metrics.md section 3.7 (Mejia et al.).
    """
    t = np.asarray(t, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        above = t - t.min(axis=1, keepdims=True)
        span = above.max(axis=1, keepdims=True)
    return (above / np.where(np.isfinite(span) & (span > 0), span, np.nan)) ** 2


def effective_number(weights: np.ndarray) -> np.ndarray:
    """How many genes carry the weights: (sum w)^2 / sum w^2, `(conditions,)`.

    Source: metrics.md section 3.7.
    """
    return weights.sum(axis=1) ** 2 / np.sum(weights**2, axis=1)


def wmse(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean square error of a mean profile: sum w (yhat - y)^2 / sum w.

    Args:
        truth: measured means, `(conditions, genes)`.
        predicted: predicted means, same shape.
        weights: of `effect_weights`, same shape.

    Returns:
        Values in [0, inf), `(conditions,)`; NaN where a weight is NaN.

    Raises:
        ShapeError: truth and prediction do not match.

    Source: metrics.md section 3.7.
    """
    truth, predicted = paired(truth, predicted)
    return _mean((truth - predicted) ** 2, weights)


def r2w_delta(truth_delta: np.ndarray, predicted_delta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted R2 of effects: 1 - sum w (D - Dhat)^2 / sum w (D - weighted mean of D)^2.

    Args:
        truth_delta: measured mean minus the training centroid, `(conditions, genes)`; the first argument, because
            R2 is not symmetric.
        predicted_delta: predicted mean minus the same centroid, same shape.
        weights: of `effect_weights`, same shape.

    Returns:
        Values in (-inf, 1], `(conditions,)`; NaN where a weight is NaN or the weighted effect is constant.

    Raises:
        ShapeError: truth and prediction do not match.

    Source: metrics.md section 3.7.
    """
    truth, predicted = paired(truth_delta, predicted_delta)
    spread = _mean((truth - _mean(truth, weights)[:, None]) ** 2, weights)
    constant = spread <= (CONSTANT**2) * _mean(truth**2, weights)
    return 1 - _mean((truth - predicted) ** 2, weights) / np.where(constant, np.nan, spread)


def rest_moments(
    n: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    groups: np.ndarray,
    others: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pool, for each condition, all cells of its group but its own: count, mean and unbiased variance.

    Args:
        n: cells, `(conditions,)`.
        mean: `(conditions, genes)`.
        variance: unbiased, same shape; not looked at for one cell.
        groups: group number of each condition, `(conditions,)`.
        others: count, mean and variance of further cells of each group, `(groups,)` and twice `(groups, genes)`.

    Returns:
        `(conditions,)`, `(conditions, genes)` and `(conditions, genes)`, NaN where too few
        cells remain.

    Source: metrics.md section 3.7 ("rest" is not control).
    """
    own, all_ = _sums(n, mean, variance), _sums(*others)
    for total, part in zip(all_, own, strict=True):
        np.add.at(total, groups, part)
    return _moments(*(whole[groups] - part for whole, part in zip(all_, own, strict=True)))


def pooled(n: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, ...]:
    """Count, mean and unbiased variance of all cells of several conditions; arguments as in `rest_moments`.

    Source: our choice.
    """
    sums = [part.sum(axis=0)[None] for part in _sums(n, mean, variance)]
    return tuple(one[0] for one in _moments(*sums))


def _sums(n: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count, sum and sum of squares of cells from their moments; none where there is no cell."""
    n = np.array(n, dtype=np.float64)
    wide = n[:, None]
    mean, variance = np.where(wide > 0, mean, 0.0), np.where(wide > 1, variance, 0.0)
    return n, wide * mean, (wide - (wide > 0)) * variance + wide * mean**2


def _moments(
    n: np.ndarray, total: np.ndarray, squares: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The reverse of `_sums`; mean and variance are NaN where they do not exist."""
    wide = n[:, None]
    mean = total / np.where(wide > 0, wide, np.nan)
    left = squares - total * mean
    # a gene equal in all these cells leaves rounding residue between two sums; that is no variance
    left = np.where(left <= 1e-12 * squares, 0.0, left)
    return n, mean, left / np.where(wide > 1, wide - 1, np.nan)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.sum(weights * values, axis=1) / np.sum(weights, axis=1)
