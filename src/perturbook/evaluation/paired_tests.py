"""Tests of paired differences: is one method better than another beyond what chance does to these conditions?"""

import numpy as np

EXACT = 50
"""Up to this many differences the p-value is exact. Source: metrics.md section 8."""
DIGITS = 12
"""Differences that agree to 1e-12 are ties, and below 5e-13 zeros: that is rounding of scores. Our choice."""


def signed_rank(differences: np.ndarray) -> float:
    """Wilcoxon signed-rank test of paired differences, two-sided p-value.

    Zeros are ranked and then left out (Pratt). Up to 50 differences the p-value is exact given the ranks, ties and
    zeros included: it counts how often flipped signs give a rank sum as far from its middle. Above, it is the normal
    approximation with tie correction.

    Args:
        differences: one per independent unit, `(units,)`; NaN is left out.

    Returns:
        Scalar in (0, 1]; 1 where all differences are zero, NaN where there is none. Never below `smallest_p`.

    Source: metrics.md section 8; Wilcoxon 1945, Pratt 1959.
    """
    from scipy.stats import rankdata, wilcoxon  # half a second to load, and most processes test nothing

    d = _rounded(differences)
    if not len(d):
        return float("nan")
    if not d.any():
        return 1.0
    if len(d) > EXACT:
        return float(wilcoxon(d, zero_method="pratt", method="asymptotic").pvalue)
    doubled = np.rint(2 * rankdata(np.abs(d))).astype(int)  # midranks of ties are halves
    moved = doubled[d != 0]
    share = np.ones(1)  # share of sign flips by rank sum
    for rank in moved:
        share = np.r_[share, np.zeros(rank)] / 2 + np.r_[np.zeros(rank), share] / 2
    positive = int(doubled[d > 0].sum())
    tail = min(share[: positive + 1].sum(), share[positive:].sum())
    return float(min(2 * tail, 1))


def smallest_p(differences: np.ndarray) -> float:
    """Smallest p-value that `signed_rank` could give for as many non-zero differences: 2 / 2^n.

    Beside a p-value it says whether the test could have found anything: five differences never reach 0.05.

    Args:
        differences: `(units,)`; NaN and zeros do not count.

    Returns:
        Scalar in (0, 1]; NaN where there is no difference at all.

    Source: metrics.md section 8.
    """
    d = _rounded(differences)
    return float(min(2.0 ** (1 - np.count_nonzero(d)), 1)) if len(d) else float("nan")


def hodges_lehmann(differences: np.ndarray) -> float:
    """Shift that goes with the signed-rank test: the median of the averages of all pairs, a unit with itself included.

    Args:
        differences: `(units,)`; NaN is left out.

    Returns:
        Scalar in the unit of the differences; NaN where there is none.

    Source: metrics.md section 8; Hodges and Lehmann 1963.
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[~np.isnan(d)]
    first, second = np.triu_indices(len(d))
    return float(np.median((d[first] + d[second]) / 2)) if len(d) else float("nan")


def _rounded(differences: np.ndarray) -> np.ndarray:
    d = np.asarray(differences, dtype=np.float64)
    return np.round(d[~np.isnan(d)], DIGITS)
