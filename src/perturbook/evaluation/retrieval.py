"""Retrieval: is a prediction nearest to its own truth among the test conditions of its group?

D_ij = |yhat_i - y_j| over the N conditions of one group (the context: pooled contexts would reward predicting
the context). Ties decide the floor of these scores, so each function states how it counts them; two distances
are tied where they agree to 1e-9 of their size, which is rounding and nothing else (our choice).
"""

import numpy as np
from scipy.spatial.distance import cdist

from perturbook.errors import ShapeError
from perturbook.evaluation.mean_profile import paired

TIED = 1e-9


def nir(truth: np.ndarray, predicted: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Share of other truths that lie strictly farther from the prediction than its own truth.

    nir[i] = #{j != i : D_ij > D_ii} / (N - 1); a tie counts against the prediction. Any predictor that is
    constant within a group averages exactly 0.5 over it.

    Args:
        truth: measured means, `(conditions, genes)`.
        predicted: predicted means, same shape.
        groups: group label of each condition, `(conditions,)`. Averages mean little for N < 5: state N
            (`group_sizes`).

    Returns:
        Values in [0, 1], `(conditions,)`; NaN in a group of one, and where truth or prediction holds NaN (such
        a condition is no competitor of the others either).

    Raises:
        ShapeError: the arguments do not match.

    Source: metrics.md section 4 (`centroid_acc` of Systema, NIR of Miller et al.).
    """
    return _per_group(truth, predicted, groups, lambda d: d > np.diag(d)[:, None] * (1 + TIED))


def rank_pred(truth: np.ndarray, predicted: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Share of other predictions that lie at least as near to the truth as its own prediction; 0 is best.

    rank_pred[i] = #{j != i : D_ji <= D_ii} / (N - 1); a tie counts against the prediction, so a constant
    predictor scores exactly 1.

    Args:
        truth: measured means, `(conditions, genes)`.
        predicted: predicted means, same shape.
        groups: group label of each condition, `(conditions,)`.

    Returns:
        Values in [0, 1], `(conditions,)`; NaN as in `nir`.

    Raises:
        ShapeError: the arguments do not match.

    Source: metrics.md section 4 (rank metric of PerturBench).
    """
    return _per_group(truth, predicted, groups, lambda d: d.T <= np.diag(d)[:, None] * (1 + TIED))


def group_sizes(groups: np.ndarray) -> np.ndarray:
    """Count the conditions N of each condition's group, `(conditions,)`; to be stated beside a retrieval score.

    Source: metrics.md section 4.
    """
    _, inverse, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return counts[inverse]


def _per_group(truth, predicted, groups, wins) -> np.ndarray:
    """Average `wins`, `(N, N)` from the distances D, over the other conditions of each group."""
    truth, predicted = paired(truth, predicted)
    groups = np.asarray(groups)
    if groups.shape != (len(truth),):
        raise ShapeError(f"groups are {groups.shape}, expected ({len(truth)},): one label per condition.")
    usable = ~(np.isnan(truth).any(axis=1) | np.isnan(predicted).any(axis=1))
    values = np.full(len(truth), np.nan)
    for group in np.unique(groups):
        rows = np.flatnonzero((groups == group) & usable)
        if len(rows) > 1:
            won = wins(cdist(predicted[rows], truth[rows]))
            np.fill_diagonal(won, False)
            values[rows] = won.sum(axis=1) / (len(rows) - 1)
    return values
