"""Scores that need the spread of the cells: relative RMSE over cell pairs, and how much variance is predicted.

A falling `rel_rmse_cell` can mean that generated cells became identical: a predictor of the mean scores
`sigma`, a perfect sampler `sqrt(2) sigma`. It is shown only beside `var_ratio` and `edist_u`.
"""

import numpy as np

from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.evaluation.mean_profile import paired


def rel_rmse_cell(
    truth: np.ndarray,
    truth_variance: np.ndarray,
    n_truth: np.ndarray,
    predicted: np.ndarray,
    predicted_variance: np.ndarray,
    n_predicted: np.ndarray | float = np.inf,
) -> np.ndarray:
    """Relative RMSE over all pairs of a true and a predicted cell, in closed form.

    sqrt( (|yhat - y|^2 + tr Cov Xhat + tr Cov X) / (|y|^2 + tr Cov X) )

    with population covariances: an unbiased variance of n cells is multiplied by (n - 1) / n, and is 0 for
    one cell. The number of genes cancels.

    Args:
        truth: measured means, `(conditions, genes)`.
        truth_variance: unbiased variances over cells (n - 1), same shape; NaN is allowed for one cell.
        n_truth: measured cells, `(conditions,)`.
        predicted: predicted means, same shape as `truth`.
        predicted_variance: unbiased variances, same shape; zeros for a mean-only prediction.
        n_predicted: predicted cells, `(conditions,)`; infinite where the variance is the predictor's own
            parameter and not the variance of a sample.

    Returns:
        Values in [0, inf), `(conditions,)`; NaN where there are no cells or the true cells are all zero.

    Raises:
        ShapeError: the arguments do not match.

    Source: metrics.md section 3.2.
    """
    truth, predicted = paired(truth, predicted)
    noise = _population_trace(truth, truth_variance, n_truth)
    noise_hat = _population_trace(truth, predicted_variance, n_predicted)
    moment = np.sum(truth**2, axis=1) + noise
    distance = np.sum((predicted - truth) ** 2, axis=1) + noise_hat + noise
    return np.sqrt(distance / np.where(moment == 0, np.nan, moment))


def rel_rmse_cell_pairs(
    truth: np.ndarray,
    predicted: np.ndarray,
    *,
    pairing: str = "random",
    batch: int | None = 32,
    seed: int = 0,
) -> float:
    """Relative RMSE of one condition over explicit cell pairs, to reproduce published numbers.

    The rows are paired, cut into batches, scored per batch and averaged over batches; the last, smaller batch
    counts as one (our choice).

    Args:
        truth: measured cells, `(cells, genes)`.
        predicted: generated cells, `(cells, genes)`; the count may differ, surplus rows stay unpaired.
        pairing: "random" (both sides shuffled with `seed`) or "given" (row i with row i).
        batch: cells per batch; None scores all pairs at once.
        seed: decides the random pairing.

    Returns:
        Scalar in [0, inf); NaN where a batch of true cells is all zero.

    Raises:
        ConfigError: unknown pairing.
        ShapeError: the gene axes differ, or "given" with unequal cell counts.
        InputError: a side has no cells.

    Source: metrics.md section 3.2 (batches of 32 randomly paired cells in the Discrepancy-VAE lineage).
    """
    truth, predicted = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if pairing not in ("random", "given"):
        raise ConfigError(f"pairing={pairing!r} is unknown; use 'random' or 'given'.")
    if truth.shape[1:] != predicted.shape[1:] or (pairing == "given" and len(truth) != len(predicted)):
        raise ShapeError(
            f"true cells are {truth.shape}, predicted cells {predicted.shape}; they cannot be paired."
        )
    n = min(len(truth), len(predicted))
    if n == 0:
        raise InputError("rel_rmse_cell_pairs needs at least one true and one predicted cell.")
    if pairing == "random":
        rng = np.random.default_rng(seed)
        truth, predicted = rng.permutation(truth)[:n], rng.permutation(predicted)[:n]
    size = batch or n
    values = []
    for start in range(0, n, size):
        x, xhat = truth[start : start + size], predicted[start : start + size]
        moment = np.mean(x**2)
        values.append(np.sqrt(np.mean((xhat - x) ** 2) / moment) if moment > 0 else np.nan)
    return float(np.mean(values))


def var_ratio(truth_variance: np.ndarray, predicted_variance: np.ndarray) -> np.ndarray:
    """Total predicted variance over total true variance, per condition; 1 is right, 0 is a mean.

    Args:
        truth_variance: unbiased variances over the cells of a condition, `(conditions, genes)`; NaN for fewer
            than two cells.
        predicted_variance: same shape; zeros for a mean-only prediction, NaN for a single generated cell.

    Returns:
        Values in [0, inf), `(conditions,)`; NaN where the truth has fewer than two cells or no variance.

    Raises:
        ShapeError: the arguments do not match.

    Source: metrics.md section 5.3.
    """
    truth, predicted = paired(truth_variance, predicted_variance)
    total = truth.sum(axis=1)
    return predicted.sum(axis=1) / np.where(total == 0, np.nan, total)


def var_ratio_gene_median(truth_variance: np.ndarray, predicted_variance: np.ndarray) -> np.ndarray:
    """Median over genes with true variance of the per-gene variance ratio, `(conditions,)`.

    NaN as in `var_ratio`. The trace is governed by a few noisy genes, this value by the typical one.

    Source: metrics.md section 5.3.
    """
    truth, predicted = paired(truth_variance, predicted_variance)
    values = np.full(len(truth), np.nan)
    for c, (true, hat) in enumerate(zip(truth, predicted, strict=True)):
        if np.isfinite(true).all() and (true > 0).any():
            values[c] = np.median(hat[true > 0] / true[true > 0])
    return values


def typical_ratio(ratios: np.ndarray) -> tuple[float, int]:
    """Average variance ratios over conditions: geometric mean of the positive ones, and the count of zeros.

    Args:
        ratios: `(conditions,)`; NaN is left out.

    Returns:
        The mean (0 if every defined ratio is 0, NaN if none is defined) and how many ratios are exactly 0.

    Source: metrics.md section 5.3.
    """
    ratios = np.asarray(ratios, dtype=np.float64)
    ratios = ratios[~np.isnan(ratios)]
    positive = ratios[ratios > 0]
    mean = np.exp(np.log(positive).mean()) if len(positive) else (0.0 if len(ratios) else np.nan)
    return float(mean), len(ratios) - len(positive)


def _population_trace(like: np.ndarray, variance: np.ndarray, n_cells: np.ndarray | float) -> np.ndarray:
    """Sum over genes of population variances, `(conditions,)`; 0 for one cell, NaN for none."""
    variance = np.asarray(variance, dtype=np.float64)
    if variance.shape != like.shape:
        raise ShapeError(f"variances are {variance.shape}, means are {like.shape}; they must match.")
    n = np.broadcast_to(np.asarray(n_cells, dtype=np.float64), (len(like),))
    factor = 1 - 1 / np.where(n >= 1, n, np.nan)
    return np.where(n == 1, 0.0, variance.sum(axis=1) * factor)
