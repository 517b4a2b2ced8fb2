"""Genes that differ between cells in which a concept is active and all others: what attribution is compared with.

Source: `concepts.md` section 6, the DE arm, after Schuster, arXiv 2410.11468. The genes are ranked once for all concepts
and all permuted labels; one product with the labels then gives every rank sum.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.stats import rankdata

from perturbook.errors import ConfigError, InputError, NotApplicable, ShapeError

QUANTILE, LEAST = 0.99, 100


def active_cells(codes: np.ndarray, quantile: float = QUANTILE, least: int = LEAST) -> np.ndarray:
    """Cells whose code lies above a quantile of the concept's codes over all cells, `(cells,)` bool.

    Args:
        codes: of one concept, `(cells,)`.
        quantile: the share of cells below; a cell must be above 0 too.
        least: fewest active cells, and fewest others.

    Raises:
        NotApplicable: fewer than `least` cells are active, or inactive; nothing is relaxed.
        ConfigError: the quantile does not lie between 0 and 1.
    """
    if not 0 <= quantile < 1:
        raise ConfigError(f"quantile is {quantile}; it must be at least 0 and below 1.")
    codes = np.asarray(codes, dtype=float)
    active = (codes > 0) & (codes > np.quantile(codes, quantile))
    fewer, what = min((active.sum(), "active"), ((~active).sum(), "inactive"))
    if fewer < least:
        raise NotApplicable(
            f"{fewer} of {len(codes)} cells are {what} above the quantile {quantile:g} of the concept; the test needs "
            f"{least}. Take more cells or a lower quantile."
        )
    return active


def permuted(active: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """The labels dealt to other cells, `(n, cells)` bool."""
    rng = np.random.default_rng([seed, n])
    return np.stack([rng.permutation(active) for _ in range(n)])


@dataclass(frozen=True)
class RankedGenes:
    """Cells ranked within each gene, ties at their mean rank."""

    ranks: np.ndarray
    """`(cells, genes)`."""
    ties: np.ndarray
    """Sum over groups of t equal values of t^3 - t, `(genes,)`."""

    @classmethod
    def of(cls, expression: np.ndarray | sp.spmatrix) -> "RankedGenes":
        """Rank expression `(cells, genes)`.

        Raises:
            InputError: a value is not finite.
        """
        values = expression.toarray() if sp.issparse(expression) else np.asarray(expression)
        if not np.isfinite(values).all():
            raise InputError("Expression holds NaN or infinite values; leave such genes or cells out.")
        ranks = rankdata(values, axis=0)
        top = rankdata(values, axis=0, method="max")
        size = 2 * (top - ranks) + 1  # of the group of equal values that a cell is in
        return cls(ranks, (size**2 - 1).sum(axis=0))

    def scores(self, active: np.ndarray) -> np.ndarray:
        """Wilcoxon rank-sum z of active against other cells, positive where a gene is higher in active ones.

        z = (R - n1 (n + 1) / 2) / sqrt(n1 n2 / 12 (n + 1 - sum(t^3 - t) / (n (n - 1))))

        where R sums the ranks of the n1 active of n cells. These are the scores of scanpy's
        `rank_genes_groups(method="wilcoxon", tie_correct=True)`.

        Args:
            active: one labelling per row, `(labellings, cells)` bool.

        Returns:
            `(labellings, genes)`; 0 for a gene with one value in all cells.

        Raises:
            ShapeError: the labels are not of these cells.
        """
        active = np.atleast_2d(active)
        n = len(self.ranks)
        if active.shape[1] != n:
            raise ShapeError(f"active labels {active.shape[1]} cells; the ranks are of {n}.")
        first = active.sum(axis=1)[:, None].astype(float)
        distance = active.astype(float) @ self.ranks - first * (n + 1) / 2
        variance = first * (n - first) / 12 * (n + 1 - self.ties / (n * (n - 1)))
        return np.where(variance > 0, distance / np.sqrt(np.where(variance > 0, variance, 1)), 0.0)
