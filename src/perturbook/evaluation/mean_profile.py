"""Scores of mean profiles: one value per condition from `(conditions, genes)` means in float64.

Truth is always the first argument: R2 is not symmetric. Nothing is clipped except in the function whose name
says so; where a score does not exist the value is NaN, never 0.
"""

import numpy as np

from perturbook.errors import ShapeError

CONSTANT = 1e-6
"""A profile is constant where its spread over genes is at most this share of a profile's root mean square:
rounding residue of averages is far below it, any effect far above. Source: metrics.md section 1.8."""


def paired(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both arguments as float64 `(conditions, genes)`.

    Raises:
        ShapeError: an argument is not two-dimensional, or the shapes differ.
    """
    truth, predicted = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if truth.ndim != 2 or truth.shape != predicted.shape:
        raise ShapeError(
            f"truth is {truth.shape} and prediction is {predicted.shape}; "
            "both must be (conditions, genes) with conditions and genes in the same order."
        )
    return truth, predicted


def take(values: np.ndarray, genes_idx: np.ndarray) -> np.ndarray:
    """Restrict each condition to its own genes, for the DEG variants of a metric.

    Args:
        values: `(conditions, genes)`, or `(genes,)` for a profile shared by all conditions.
        genes_idx: gene positions, `(conditions, k)`; a negative position means that the condition has no
            gene list and gives NaN, so that every metric of that condition becomes undefined.

    Returns:
        `(conditions, k)`, float64.

    Raises:
        ShapeError: the condition axes differ.

    Source: metrics.md section 3.6.
    """
    values, genes_idx = np.atleast_2d(np.asarray(values, dtype=np.float64)), np.asarray(genes_idx)
    if genes_idx.ndim != 2 or len(values) not in (1, len(genes_idx)):
        raise ShapeError(
            f"values are {values.shape} but the gene positions are {genes_idx.shape}; one row per condition."
        )
    values = np.broadcast_to(values, (len(genes_idx), values.shape[1]))
    return np.where(genes_idx >= 0, np.take_along_axis(values, np.maximum(genes_idx, 0), axis=1), np.nan)


def r2_mean(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Score the mean profile by R2 over genes, unclipped.

    r2[c] = 1 - sum_g (y - yhat)^2 / sum_g (y - average of y over the genes)^2

    Args:
        truth: measured means, `(conditions, genes)`, log1p of counts per 10k.
        predicted: predicted means, same shape and unit.

    Returns:
        Values in (-inf, 1], `(conditions,)`; NaN where the truth is constant over genes.

    Raises:
        ShapeError: the arguments do not match.

    Source: metrics.md section 3.1.
    """
    truth, predicted = paired(truth, predicted)
    spread = truth.std(axis=1)
    constant = spread <= CONSTANT * _rms(truth)
    error = np.mean((truth - predicted) ** 2, axis=1)
    return 1 - error / np.where(constant, np.nan, spread**2)


def r2_mean_clipped(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Replace negative `r2_mean` by 0, `(conditions,)`; only to compare with literature that clips.

    Source: metrics.md section 3.1 (clipping trap).
    """
    return np.maximum(r2_mean(truth, predicted), 0.0)


def r2_mean_swapped_clipped(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """`r2_mean` with prediction and truth exchanged and negative values replaced by 0, `(conditions,)`.

    Only to compare with the Discrepancy-VAE lineage, whose evaluation passes its arguments so.

    Source: metrics.md section 3.1 (argument order).
    """
    return np.maximum(r2_mean(predicted, truth), 0.0)


def rmse_mean(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Root mean square error of the mean profile over genes, `(conditions,)`, unit of the input.

    Source: metrics.md section 3.2 (numerator of `rel_rmse_mean`).
    """
    truth, predicted = paired(truth, predicted)
    return _rms(truth - predicted)


def rel_rmse_mean(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Root mean square error of the mean relative to the root mean square of the truth.

    Returns:
        Values in [0, inf), `(conditions,)`; NaN where the truth is zero in every gene.

    Source: metrics.md section 3.2.
    """
    truth, predicted = paired(truth, predicted)
    size = _rms(truth)
    return _rms(truth - predicted) / np.where(size == 0, np.nan, size)


def l2(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Euclidean distance of the mean profiles, `(conditions,)`; it grows with the square root of the number of genes.

    Raises:
        ShapeError: the arguments do not match.

    Source: metrics.md section 3.3.
    """
    truth, predicted = paired(truth, predicted)
    return np.linalg.norm(truth - predicted, axis=1)


def constant_guard(control: np.ndarray) -> np.ndarray:
    """Give the spread below which an effect counts as constant: 1e-6 of the control's root mean square.

    Args:
        control: control mean over the whole panel, `(genes,)` or `(conditions, genes)`.

    Returns:
        Scalar or `(conditions,)`, to be passed to `pearson_delta`.

    Source: metrics.md section 1.8.
    """
    return CONSTANT * _rms(np.asarray(control, dtype=np.float64))


def pearson_delta(
    truth_delta: np.ndarray, predicted_delta: np.ndarray, guard: np.ndarray | float
) -> np.ndarray:
    """Correlate measured and predicted effects over genes, per condition.

    Args:
        truth_delta: measured mean minus a named reference, `(conditions, genes)`.
        predicted_delta: predicted mean minus its reference, same shape; the reference may be another half of
            the controls, and which one it is belongs to the key of the metric.
        guard: `constant_guard(control)`, scalar or `(conditions,)`. Without it the no-change predictor is
            given the correlation of its rounding residue.

    Returns:
        Values in [-1, 1], `(conditions,)`; NaN where the spread of either effect is at most `guard`.

    Raises:
        ShapeError: the arguments do not match.

    Source: metrics.md sections 1.8, 3.4 and 3.5.
    """
    truth, predicted = paired(truth_delta, predicted_delta)
    truth = truth - truth.mean(axis=1, keepdims=True)
    predicted = predicted - predicted.mean(axis=1, keepdims=True)
    spread, spread_hat = _rms(truth), _rms(predicted)
    constant = (spread <= guard) | (spread_hat <= guard)
    return np.mean(truth * predicted, axis=1) / np.where(constant, np.nan, spread * spread_hat)


def _rms(values: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(values**2, axis=-1))
