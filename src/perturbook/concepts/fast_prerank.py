"""Preranked enrichment of many rankings that hold the same scores, in the time gseapy takes for a few sets.

It gives gseapy's ES, and NES, p and FDR that differ from gseapy's as those of another seed do. It makes the matched null
affordable, and says which concepts need no run of gseapy: screen whole concepts, never single sets, because the FDR of a
set depends on which sets it is run with. Source: `concepts.md` section 6.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbook.concepts.gene_ranking import GeneRanking
from perturbook.concepts.gene_sets import GeneSets
from perturbook.concepts.running_sum import PERMUTATIONS, Null, enrichment_scores
from perturbook.errors import InputError, ShapeError

SCREENED = 0.25
"""Least FDR of a concept's sets above which gseapy need not be asked. Source: our choice, five times the level of 0.05."""


@dataclass(frozen=True)
class FastPrerank:
    """One multiset of scores, the sets of a library on its genes, and their null."""

    sets: GeneSets
    scores: np.ndarray
    """In the order of the universe, `(genes,)`."""
    null: Null

    @classmethod
    def of(
        cls, scores: pd.Series, sets: GeneSets, permutations: int = PERMUTATIONS, seed: int = 0
    ) -> "FastPrerank":
        """Draw the null of some scores.

        Args:
            scores: one per tested gene, index the gene.
            sets: on these very genes.
            permutations: random sets per size.
            seed: of these.

        Raises:
            InputError: see `GeneRanking.of`; or the universe of the sets is not that of the scores.
        """
        ranking = GeneRanking.of(scores)
        if tuple(sorted(ranking.genes)) != sets.universe:
            raise InputError(
                f"The sets are on {len(sets.universe):,} genes, the scores of {len(ranking.genes):,} others or not all of "
                f"them; make both from the tested genes."
            )
        null = Null.of(np.abs(ranking.scores), sets.sizes, permutations, seed)
        by_name = pd.Series(ranking.scores, ranking.genes)
        return cls(sets, by_name.loc[list(sets.universe)].to_numpy(), null)

    def of_rankings(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """ES, NES, p and FDR of every set in every ranking, `(rankings, sets)` each.

        Args:
            values: scores in the order of the universe, `(rankings, genes)`; each row holds the same scores.

        Raises:
            ShapeError: another number of genes. InputError: a row holds other scores, for which the null does not hold.
        """
        if values.ndim != 2 or values.shape[1] != len(self.scores):
            raise ShapeError(f"values are {values.shape}; expected (rankings, {len(self.scores)}).")
        falling = -np.sort(-self.scores)
        if not np.array_equal(-np.sort(-values, axis=1), np.broadcast_to(falling, values.shape)):
            raise InputError("A ranking holds other scores than those of the null; make a null of its own.")
        order = np.argsort(-values, axis=1, kind="stable")  # the universe is sorted, so ties go by gene
        place = np.empty_like(order)
        np.put_along_axis(place, order, np.arange(order.shape[1])[None], axis=1)
        sizes, weights = self.sets.sizes, np.abs(falling)
        es = np.empty((len(values), len(sizes)))
        for size in self.null.sizes:
            own = np.flatnonzero(sizes == size)
            members = self.sets.members[own].indices.reshape(len(own), size)
            es[:, own] = enrichment_scores(weights, np.sort(place[:, members], axis=-1))
        nes, p = self.null.normalised(es, sizes)
        return {"ES": es, "NES": nes, "p": p, "FDR": self.null.fdr(nes, sizes)}

    def table(self) -> pd.DataFrame:
        """Columns `ES`, `NES`, `p`, `FDR`, `size` of the scores themselves, index the set."""
        found = {name: one[0] for name, one in self.of_rankings(self.scores[None]).items()}
        return pd.DataFrame(found | {"size": self.sets.sizes}, index=pd.Index(self.sets.names, name="term"))

    def needs_gseapy(self) -> bool:
        """True where the least FDR is below `SCREENED`."""
        return bool((self.table()["FDR"] < SCREENED).any())
