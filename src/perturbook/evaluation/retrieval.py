"""Retrieval: is a prediction nearest to its own truth among the test conditions of its group?

D_ij is the distance of prediction i from truth j over the N conditions of one group (the context: pooled contexts
would reward predicting the context). Ties decide the floor of these scores, so each function states how it counts
them; two distances are tied where they agree to 1e-9 of their size, which is rounding and nothing else (our choice).
"""

import numpy as np
from scipy.spatial.distance import cdist

from perturbook.errors import ShapeError
from perturbook.evaluation.mean_profile import paired

TIED = 1e-9


def distances(
    truth: np.ndarray,
    predicted: np.ndarray,
    groups: np.ndarray,
    *,
    norm: str = "l2",
    without: np.ndarray | None = None,
) -> np.ndarray:
    """Distance of every prediction from every truth of its group.

    Args:
        truth: measured means or effects, `(conditions, genes)`.
        predicted: predicted ones, same shape.
        groups: group label of each condition, `(conditions,)`.
        norm: "l1", "l2", or "cosine" (1 minus the cosine; NaN for a vector of zeros).
        without: positions of genes left out of all distances of a prediction, `(conditions, k)`, -1 for none: the
            genes that the condition perturbs itself.

    Returns:
        `(conditions, conditions)`, predictions in rows; NaN across groups, and where a profile holds NaN (such a
        condition is no competitor of the others either).

    Raises:
        ShapeError: the arguments do not match.

    Source: metrics.md section 4.
    """
    truth, predicted = paired(truth, predicted)
    groups = np.asarray(groups)
    if groups.shape != (len(truth),):
        raise ShapeError(f"groups are {groups.shape}, expected ({len(truth)},): one label per condition.")
    without = np.empty((len(truth), 0), int) if without is None else without
    usable = ~(np.isnan(truth).any(axis=1) | np.isnan(predicted).any(axis=1))
    found = np.full((len(truth), len(truth)), np.nan)
    for group in np.unique(groups):
        rows = np.flatnonzero((groups == group) & usable)
        if len(rows):
            found[np.ix_(rows, rows)] = _NORMS[norm](predicted[rows], truth[rows], without[rows])
    return found


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
    return nir_of(distances(truth, predicted, groups))


def nir_of(d: np.ndarray) -> np.ndarray:
    """`nir` from `distances`."""
    return _share(d > np.diag(d)[:, None] * (1 + TIED), d)


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
    return rank_pred_of(distances(truth, predicted, groups))


def rank_pred_of(d: np.ndarray) -> np.ndarray:
    """`rank_pred` from `distances`."""
    return _share(d.T <= np.diag(d)[:, None] * (1 + TIED), d)


def pds(
    truth: np.ndarray,
    predicted: np.ndarray,
    groups: np.ndarray,
    *,
    norm: str = "l2",
    without: np.ndarray | None = None,
) -> np.ndarray:
    """Perturbation discrimination score: 1 minus the share of all N truths strictly nearer than the own one.

    pds[i] = 1 - #{j != i : D_ij < D_ii} / N; a tie counts for the prediction, so a constant predictor averages
    0.5 + 1 / (2 N).

    Args:
        truth: measured effects, `(conditions, genes)`.
        predicted: predicted effects, same shape.
        groups: group label of each condition, `(conditions,)`.
        norm: as in `distances`.
        without: as in `distances`.

    Returns:
        Values in (0, 1], `(conditions,)`; NaN as in `nir`.

    Raises:
        ShapeError: the arguments do not match.

    Source: metrics.md section 4 (cell-eval, Virtual Cell Challenge 2025).
    """
    return pds_of(distances(truth, predicted, groups, norm=norm, without=without))


def pds_of(d: np.ndarray) -> np.ndarray:
    """`pds` from `distances`."""
    nearer = d < np.diag(d)[:, None] * (1 - TIED)
    n = _competitors(d) + 1
    return 1 - nearer.sum(axis=1) / np.where(n > 1, n, np.nan)


def leave_out(d: np.ndarray, truth: np.ndarray, predicted: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Euclidean `distances` with `without`, from those of all genes: d'_ij^2 = d_ij^2 - sum over left out (a_ig - b_jg)^2.

    Args:
        d: `distances(truth, predicted, groups)`.
        truth: measured means or effects, `(conditions, genes)`; a shift that a group shares changes nothing.
        predicted: predicted ones, same shape.
        without: as in `distances`.

    Returns:
        A new array, `(conditions, conditions)`.

    Source: metrics.md section 4.
    """
    d = d.copy()
    for rows, one, other in _left_out(predicted, truth, without):
        d[rows] = np.sqrt(np.abs(d[rows] ** 2 - (one - other) ** 2))  # a negative value is rounding of 0
    return d


def group_sizes(groups: np.ndarray) -> np.ndarray:
    """Count the conditions N of each condition's group, `(conditions,)`; to be stated beside a retrieval score.

    Source: metrics.md section 4.
    """
    _, inverse, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return counts[inverse]


def _competitors(d: np.ndarray) -> np.ndarray:
    """Other conditions that a condition is compared with, `(conditions,)`; -1 for one that is not comparable."""
    return np.where(np.isnan(np.diag(d)), -1, (~np.isnan(d)).sum(axis=1) - 1)


def _share(won: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Share of competitors for which `won` is true, `(conditions,)`; comparisons with NaN are false."""
    np.fill_diagonal(won, False)
    n = _competitors(d)
    return won.sum(axis=1) / np.where(n > 0, n, np.nan)


def _l1(a: np.ndarray, b: np.ndarray, without: np.ndarray) -> np.ndarray:
    d = cdist(a, b, "cityblock")
    for rows, one, other in _left_out(a, b, without):
        d[rows] -= np.abs(one - other)
    return d


def _l2(a: np.ndarray, b: np.ndarray, without: np.ndarray) -> np.ndarray:
    return leave_out(cdist(a, b), b, a, without)


def _cosine(a: np.ndarray, b: np.ndarray, without: np.ndarray) -> np.ndarray:
    shape = (len(a), len(b))
    dot = a @ b.T
    size = np.broadcast_to(np.sum(a**2, axis=1)[:, None], shape).copy()
    size_b = np.broadcast_to(np.sum(b**2, axis=1), shape).copy()
    for rows, one, other in _left_out(a, b, without):
        dot[rows] -= one * other
        size[rows] -= one**2
        size_b[rows] -= other**2
    product = size * size_b
    return 1 - dot / np.sqrt(np.where(product > 0, product, np.nan))


def _left_out(a: np.ndarray, b: np.ndarray, without: np.ndarray):
    """For each column of `without`: the rows that leave out a gene, their values `(rows, 1)`, and the truths' `(rows, N)`."""
    for genes in without.T:
        rows = np.flatnonzero(genes >= 0)
        yield rows, a[rows, genes[rows]][:, None], b[:, genes[rows]].T


_NORMS = {"l1": _l1, "l2": _l2, "cosine": _cosine}
