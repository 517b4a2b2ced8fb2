"""Gene sets at the ends of a concept's ranking: preranked enrichment by gseapy, with its traps closed.

gseapy sorts ties arbitrarily, counts rates apart for sets whose names share what stands before "__", takes genes in upper
case where the sets are, repairs repeated genes and gives NES and p where its null has no value of the sign. Here genes
and sets go in under numbers, in an order that is settled, and what is undefined stays so. Source: `concepts.md` section 6.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbook.concepts.gene_ranking import MOST_TIED, GeneRanking
from perturbook.concepts.gene_sets import GeneSets, Library
from perturbook.concepts.running_sum import PERMUTATIONS
from perturbook.errors import ConfigError

LEVEL = 0.05
"""FDR below which a set is significant."""
TIE_ORDERS = 5


@dataclass(frozen=True)
class Enrichment:
    """Enriched sets of one ranking."""

    table: pd.DataFrame
    """Index `term`, by falling NES: `ES`, `NES`, `p` (at least 1 / (permutations + 1)), `FDR`, `size`, `leading_edge` (tuple of
    genes), `order_decides` (the set is significant under some order of tied genes and not under another)."""
    sets: GeneSets
    """With name and checksum of the library, and what was left out because another set is nearly the same."""
    permutations: int
    seed: int
    tied: float
    """Share of genes at the most common score."""

    @property
    def significant(self) -> pd.DataFrame:
        """Rows with an FDR below 0.05."""
        return self.table[self.table["FDR"] < LEVEL]

    @property
    def about(self) -> dict:
        """What decides the rates beside the scores."""
        return {
            "library": self.sets.library,
            "checksum": self.sets.checksum,
            "sets": len(self.sets.names),
            "universe": len(self.sets.universe),
            "permutations": self.permutations,
            "seed": self.seed,
            "tied": self.tied,
        }

    def shown(self) -> pd.DataFrame:
        """The table with `p` as text, "<" where it is the least that so many permutations can give."""
        least = 1 / (self.permutations + 1)
        words = [
            "" if np.isnan(p) else f"< {least:.2g}" if p <= least else f"{p:.3g}" for p in self.table["p"]
        ]
        return self.table.assign(p=words)


def enrich(
    scores: pd.Series, library: Library, permutations: int = PERMUTATIONS, seed: int = 0
) -> Enrichment:
    """Run gseapy's prerank, weight 1, on the tested genes as universe.

    Args:
        scores: one per tested gene, index the gene, as `ConceptAttribution.ranking`.
        library: gene sets; those of 10 to 500 genes of the universe are tested, of near-equal ones the largest.
        permutations: of gseapy, which counts the ranking itself as one.
        seed: of these; the same gives the same numbers.

    Raises:
        InputError: a gene stands twice, a score is not finite, or no set is left.
        ConfigError: fewer than two permutations.
    """
    if permutations < 2:
        raise ConfigError(f"permutations is {permutations}; a null needs at least 2, and 1000 are usual.")
    ranking = GeneRanking.of(scores)
    sets = GeneSets.of(library, ranking.genes)
    table = _prerank(ranking, sets, permutations, seed)
    table["order_decides"] = False
    if ranking.tied > MOST_TIED:
        again = [_prerank(ranking.reordered(one), sets, permutations, seed) for one in range(TIE_ORDERS)]
        significant = np.stack([one.loc[table.index, "FDR"] < LEVEL for one in (table, *again)])
        table["order_decides"] = significant.any(axis=0) & ~significant.all(axis=0)
    return Enrichment(table, sets, permutations, seed, ranking.tied)


def _prerank(ranking: GeneRanking, sets: GeneSets, permutations: int, seed: int) -> pd.DataFrame:
    import gseapy  # takes seconds to import

    number = {gene: f"G{place}" for place, gene in enumerate(ranking.genes)}
    given = {f"S{place}": [number[one] for one in sets.genes(name)] for place, name in enumerate(sets.names)}
    with _without_warnings():
        found = gseapy.prerank(
            pd.Series(ranking.scores, index=[number[one] for one in ranking.genes]),
            given,
            min_size=1,
            max_size=len(ranking.genes),
            permutation_num=permutations,
            weight=1.0,
            ascending=None,  # the order is ours
            threads=1,
            seed=seed,
            outdir=None,
            no_plot=True,
            verbose=False,
        ).res2d.set_index("Term")
    found = found.loc[list(given)]
    lead = [tuple(ranking.genes[int(one[1:])] for one in of.split(";") if one) for of in found["Lead_genes"]]
    es, nes, p, fdr = (found[one].to_numpy(float) for one in ("ES", "NES", "NOM p-val", "FDR q-val"))
    weighs = sets.members @ pd.Series(np.abs(ranking.scores), ranking.genes).loc[list(sets.universe)] > 0
    without = (np.abs(nes) == 1) & (p == 1)  # what gseapy writes where no permutation has the sign
    undefined = ~np.isfinite(nes) | without | ~weighs
    made = {"ES": np.where(weighs, es, np.nan)}
    for name, values in (("NES", nes), ("p", np.maximum(p, 1 / (permutations + 1))), ("FDR", fdr)):
        made[name] = np.where(undefined, np.nan, values)
    made |= {"size": sets.sizes, "leading_edge": lead}
    table = pd.DataFrame(made, index=pd.Index(sets.names, name="term"))
    return table.sort_values("NES", ascending=False, kind="stable")


@contextmanager
def _without_warnings() -> Iterator[None]:
    """gseapy warns on stderr of tied scores, whose order is settled here, and its loggers have no stable name."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
