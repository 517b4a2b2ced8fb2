"""Which genes respond: Welch's t from means, variances and counts, and the strongest genes of a condition."""

import numpy as np

from perturbook.errors import InputError


def welch_t(
    mean: np.ndarray,
    variance: np.ndarray,
    n_cells: np.ndarray,
    control_mean: np.ndarray,
    control_variance: np.ndarray,
    n_control: np.ndarray,
) -> np.ndarray:
    """Compare treated with control cells per gene by the absolute Welch statistic.

    |t| = |y - mu0| / sqrt(s^2 / n + s0^2 / n0)

    Args:
        mean: treated means, `(conditions, genes)`, log1p of counts per 10k.
        variance: unbiased treated variances, same shape.
        n_cells: treated cells, `(conditions,)`.
        control_mean: control means of the same context, `(conditions, genes)` or `(genes,)`.
        control_variance: unbiased control variances, same shape as `control_mean`.
        n_control: control cells, `(conditions,)` or scalar.

    Returns:
        Values in [0, inf], `(conditions, genes)`. A gene without variance on both sides is 0 where the means
        agree (it cannot rank before any gene) and infinite where they differ. A condition with fewer than two
        cells on either side is NaN in every gene.

    Source: metrics.md section 3.6; Welch 1947 for the statistic.
    """
    mean, n = np.asarray(mean, dtype=np.float64), np.asarray(n_cells, dtype=np.float64)[:, None]
    n0 = np.broadcast_to(np.asarray(n_control, dtype=np.float64), (len(mean),))[:, None]
    enough = (n >= 2) & (n0 >= 2)
    control_mean = np.asarray(control_mean, dtype=np.float64)
    difference = np.abs(mean - control_mean)
    # A gene equal in all cells can leave rounding residue between two averages; that is no difference.
    difference[np.isclose(mean, control_mean, rtol=1e-12, atol=0)] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.asarray(variance) / n + np.asarray(control_variance) / n0)
        t = np.where((error == 0) & (difference == 0), 0.0, difference / error)
    return np.where(enough, t, np.nan)


def top_genes(t: np.ndarray, k: int) -> np.ndarray:
    """Choose the `k` genes with the largest statistic in each condition; ties go by panel order.

    Args:
        t: `(conditions, genes)` from `welch_t`.
        k: genes per condition.

    Returns:
        Gene positions, strongest first, `(conditions, k)`; -1 throughout a condition whose `t` holds NaN, which
        `mean_profile.take` turns into undefined.

    Raises:
        InputError: `k` is below 1 or above the number of genes.

    Source: metrics.md section 3.6.
    """
    t = np.asarray(t, dtype=np.float64)
    if not 1 <= k <= t.shape[1]:
        raise InputError(f"k={k} genes were asked of a panel of {t.shape[1]}; choose 1..{t.shape[1]}.")
    order = np.argsort(-t, axis=1, kind="stable")[:, :k]
    return np.where(np.isnan(t).any(axis=1)[:, None], -1, order)


def welch_p(
    mean: np.ndarray,
    variance: np.ndarray,
    n_cells: np.ndarray,
    control_mean: np.ndarray,
    control_variance: np.ndarray,
    n_control: np.ndarray,
) -> np.ndarray:
    """Two-sided p-value of `welch_t`, same arguments, with the degrees of freedom of Welch and Satterthwaite.

    Returns:
        Values in [0, 1], `(conditions, genes)`; 1 where the means agree without variance, 0 where they differ without,
        NaN as in `welch_t`.

    Source: metrics.md section 6.3; Welch 1947, Satterthwaite 1946.
    """
    from scipy.special import stdtr

    t = welch_t(mean, variance, n_cells, control_mean, control_variance, n_control)
    n = np.asarray(n_cells, dtype=np.float64)[:, None]
    n0 = np.broadcast_to(np.asarray(n_control, dtype=np.float64), (len(t),))[:, None]
    a, b = np.asarray(variance) / n, np.asarray(control_variance) / n0
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (n0 - 1))
        p = 2 * stdtr(freedom, -t)
    p = np.where(a + b > 0, p, np.where(t == 0, 1.0, 0.0))
    return np.where(np.isnan(t), np.nan, p)
