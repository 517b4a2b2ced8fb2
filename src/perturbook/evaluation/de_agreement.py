"""Do predicted and measured cells call the same genes different from control? Overlap of gene sets, gene by gene.

A gene set is a mask `(conditions, genes)` of the genes found different (rank-sum test, adjusted p below 0.05). Fold
changes are differences of mean log1p values, never logs of mean counts.
"""

import numpy as np


def strongest(change: np.ndarray, significant: np.ndarray, k: np.ndarray | int) -> np.ndarray:
    """Mask of the `k` significant genes of largest |change|, fewer where there are fewer; ties by panel order.

    Args:
        change: log fold changes, `(conditions, genes)`.
        significant: mask, same shape.
        k: genes, scalar or `(conditions,)`.

    Source: metrics.md section 5.4.
    """
    size = np.where(significant, np.abs(change), -1.0)
    order = np.argsort(-size, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[1])[None], axis=1)
    return significant & (rank < np.broadcast_to(k, (len(size),))[:, None])


def overlap(
    change: np.ndarray,
    significant: np.ndarray,
    change_hat: np.ndarray,
    significant_hat: np.ndarray,
    k: int | None,
) -> np.ndarray:
    """Share of the `k` strongest true genes that are among the `k` strongest predicted ones.

    Args:
        change: measured log fold changes, `(conditions, genes)`.
        significant: genes found different in measured cells, mask of the same shape.
        change_hat: predicted log fold changes, same shape.
        significant_hat: genes found different in predicted cells, same shape.
        k: how many; None takes as many as are significant in the truth.

    Returns:
        Values in [0, 1], `(conditions,)`; NaN where the truth has fewer than `k` significant genes, or none. By chance
        k / G.

    Source: metrics.md section 5.4 (`_at_n`: differential-expression score of the Virtual Cell Challenge 2025).
    """
    n = significant.sum(axis=1)
    wanted = n if k is None else np.full(len(n), k)
    both = strongest(change, significant, wanted) & strongest(change_hat, significant_hat, wanted)
    return both.sum(axis=1) / np.where((wanted > 0) & (n >= wanted), wanted, np.nan)


def recall(significant: np.ndarray, significant_hat: np.ndarray) -> np.ndarray:
    """Share of the true significant genes that are predicted significant, `(conditions,)`; NaN where there are none.

    Source: metrics.md section 5.4.
    """
    return _share(significant & significant_hat, significant)


def precision(significant: np.ndarray, significant_hat: np.ndarray) -> np.ndarray:
    """Share of the predicted significant genes that are truly so, `(conditions,)`; NaN where none is predicted.

    Source: metrics.md section 5.4.
    """
    return _share(significant & significant_hat, significant_hat)


def sign_agreement(
    change: np.ndarray, significant: np.ndarray, change_hat: np.ndarray, significant_hat: np.ndarray
) -> np.ndarray:
    """Share of the genes significant in both whose change has the same sign, `(conditions,)`; NaN where there are none.

    Source: metrics.md section 5.4.
    """
    both = significant & significant_hat
    return _share(both & (np.sign(change) == np.sign(change_hat)), both)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    n = whole.sum(axis=1)
    return part.sum(axis=1) / np.where(n > 0, n, np.nan)
