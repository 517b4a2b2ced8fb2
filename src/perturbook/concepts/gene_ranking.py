"""Genes in the order of their scores, which has to be settled before any enrichment. Source: `concepts.md` section 6."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbook.errors import InputError

MOST_TIED = 0.2
"""Share of genes at one value above which the order of tied genes is varied."""


@dataclass(frozen=True)
class GeneRanking:
    """Scores of the tested genes, highest first, equal ones by name."""

    genes: tuple[str, ...]
    scores: np.ndarray
    """`(genes,)`, falling."""

    @classmethod
    def of(cls, scores: pd.Series) -> "GeneRanking":
        """Sort scores by (score falling, gene).

        Args:
            scores: one per tested gene, index the gene. Genes that were not tested must not be among them.

        Raises:
            InputError: a gene stands twice, or a score is not a finite number.
        """
        if scores.index.has_duplicates:
            twice = scores.index[scores.index.duplicated()][0]
            raise InputError(
                f"Gene {twice!r} has more than one score; keep one, chosen by a rule you can name."
            )
        values = scores.to_numpy(float)
        if not (finite := np.isfinite(values)).all():
            raise InputError(
                f"Gene {scores.index[~finite][0]!r} has the score {values[~finite][0]}; leave genes out that were not tested."
            )
        genes = np.array([str(one) for one in scores.index], dtype=object)
        order = np.lexsort((genes.astype(str), -values))
        return cls(tuple(genes[order]), values[order])

    @property
    def tied(self) -> float:
        """Share of genes at the most common value."""
        return float(np.unique(self.scores, return_counts=True)[1].max(initial=0) / max(len(self.scores), 1))

    def reordered(self, seed: int) -> "GeneRanking":
        """The same ranking with genes of equal score in a random order."""
        draw = np.random.default_rng(seed).permutation(len(self.genes))
        order = np.lexsort((draw, -self.scores))
        return GeneRanking(tuple(self.genes[one] for one in order), self.scores)
