"""What a prediction of a double adds to the sum of the two single effects, against what is there to be added.

With the sum A, a prediction A + R and the truth A + D, all `(doubles, genes)`: the squared error falls by `2 <R, D> - |R|^2`
against that of the sum. So a prediction beats the sum, on the error of one double, exactly where `slope` exceeds one half.
Source: `perturbedvae.md` section 16.1.
"""

import numpy as np

from perturbook.evaluation.mean_profile import paired, pearson_delta


def slope(measured: np.ndarray, predicted: np.ndarray, guard: np.ndarray | float) -> np.ndarray:
    """Factor on the predicted deviation that would leave the smallest error: `<R, D> / <R, R>`, `(doubles,)`.

    1: of the right size; 0: unrelated to what is there; below 0: the wrong way.

    Args:
        measured: D, measured mean minus the sum, `(doubles, genes)`.
        predicted: R, predicted mean minus the sum, same shape.
        guard: root mean square of R up to which it counts as none, as in `mean_profile.constant_guard`; then NaN.

    Raises:
        ShapeError: the arguments do not match.
    """
    measured, predicted = paired(measured, predicted)
    size = np.mean(predicted**2, axis=1)
    return np.mean(measured * predicted, axis=1) / np.where(np.sqrt(size) <= guard, np.nan, size)


def correlation(measured: np.ndarray, predicted: np.ndarray, guard: np.ndarray | float) -> np.ndarray:
    """Pearson correlation over genes of predicted with measured deviation, `(doubles,)`; NaN where one is constant."""
    return pearson_delta(measured, predicted, guard)


def derivative(additive: np.ndarray, truth: np.ndarray, correction: np.ndarray) -> np.ndarray:
    """d/dk of `corr(A + k R, T)` at k = 0, `(doubles,)`: what a correction does to the correlation of changes.

    `<R, T_perp> / (|A| |T|)` with all three centred over genes and `T_perp = T - A <A, T> / |A|^2`: only what correlates
    with the part of the truth that the sum does not reach counts, and a uniform gain (R proportional to A) does nothing.

    Args:
        additive: A, change that the sum predicts, `(doubles, genes)`.
        truth: T, measured change.
        correction: R.

    Raises:
        ShapeError: the arguments do not match.

    Source: `perturbedvae.md` section 16.1.
    """
    a, t = paired(additive, truth)
    _, r = paired(additive, correction)
    a, t, r = (one - one.mean(axis=1, keepdims=True) for one in (a, t, r))
    size = np.linalg.norm(a, axis=1)
    beside = t - a * (np.sum(a * t, axis=1) / size**2)[:, None]
    return np.sum(r * beside, axis=1) / (size * np.linalg.norm(t, axis=1))
