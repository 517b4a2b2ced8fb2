"""What the page on ontology computes from the deposit: enrichment by attribution and by DE, each beside its matched null."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook.concepts.enrichment import Enrichment, enrich
from perturbook.concepts.enrichment_agreement import Agreement, agreement
from perturbook.concepts.fast_prerank import SCREENED, FastPrerank
from perturbook.concepts.gene_ranking import GeneRanking
from perturbook.concepts.gene_sets import GeneSets, Library
from perturbook.concepts.matched_null import Annotated, annotated, annotated_lists
from perturbook.concepts.running_sum import running_sum
from perturbook.errors import ConfigError, DataUnavailable
from perturbook.pages.concepts_ontology_study import PERMUTATIONS
from perturbook.whole import whole_folder

ARMS = {"score": "Attribution", "de": "DE"}
"""Column of the deposit -> words; both rank the same tested genes."""
TESTS = {"ranking": "Whole ranking", "list": "Top twentieth"}
LISTED = 0.95
"""Quantile of an arm's scores above which genes are listed for over-representation, so that lists of both arms are equally
long. Source: our choice; the 0.05 of the paper is on a scale that DE does not have."""


@dataclass(frozen=True)
class Compared:
    """One library against all concepts shown."""

    library: Library
    sets: dict[int, GeneSets]
    """By concept, on its tested genes."""
    found: dict[tuple[str, str], dict[int, Annotated]]
    """By (test, column of the arm), then by concept."""
    agreed: dict[int, Agreement]
    """By concept: attribution against DE."""
    permuted: dict[int, list[Agreement]]
    """The same against DE of permuted labels."""
    tables: dict[tuple[str, int], pd.DataFrame]
    """By (arm in words, concept): every set; see `FastPrerank.table`."""

    def share(self, test: str, arm: str) -> float:
        """Share of concepts with a significant set."""
        return float(np.mean([one.sets > 0 for one in self.found[test, arm].values()]))

    def null(self, test: str, arm: str) -> np.ndarray:
        """The same in random rankings or lists matched in detection, one of each concept at a time, `(rankings,)`."""
        return np.mean([one.null > 0 for one in self.found[test, arm].values()], axis=0)

    def p(self, test: str, arm: str) -> float:
        """Share of random draws in which as many concepts are annotated, the measured one counted among them."""
        null = self.null(test, arm)
        return float((1 + (null >= self.share(test, arm)).sum()) / (1 + len(null)))


def concepts(rows: pd.DataFrame, n: int) -> list[int]:
    """The first `n` concepts of the deposit; raises ConfigError where there are not as many."""
    known = sorted(rows["concept"].unique().tolist())
    if not 1 <= n <= len(known):
        raise ConfigError(f"n_concepts is {n}; the deposit holds {len(known)} concepts.")
    return known[:n]


def libraries(names: Iterable[str]) -> list[Library]:
    """The named libraries, or none where one of them cannot be had."""
    try:
        return [Library.load(name) for name in names]
    except DataUnavailable:
        return []


def scores(rows: pd.DataFrame, concept: int, column: str = "score") -> pd.Series:
    """One column of one concept, index the gene."""
    return rows[rows["concept"] == concept].set_index("gene")[column]


def compare(
    rows: pd.DataFrame, chosen: Sequence[int], library: Library, rankings: int, permutations: int, seed: int
) -> Compared:
    """Enrich every concept by attribution and by DE, with the batched form; see `concepts.fast_prerank`.

    Args:
        rows: the deposit.
        chosen: concepts.
        library: gene sets.
        rankings: random rankings of the matched null.
        permutations: random sets per size.
        seed: of both.
    """
    made = Compared(library, {}, {(test, arm): {} for test in TESTS for arm in ARMS}, {}, {}, {})
    for concept in chosen:
        detected = scores(rows, concept, "detected")
        sets = made.sets[concept] = GeneSets.of(library, detected.index)
        fast = {
            column: FastPrerank.of(scores(rows, concept, column), sets, permutations, seed)
            for column in (*ARMS, *PERMUTATIONS)
        }
        for arm, words in ARMS.items():
            one, draw = fast[arm], [seed, concept]
            made.tables[words, concept] = one.table()
            made.found["ranking", arm][concept] = annotated(one, detected, rankings, draw)
            cutoff = float(np.quantile(one.scores, LISTED))
            made.found["list", arm][concept] = annotated_lists(one, detected, cutoff, rankings, draw)
        made.agreed[concept] = agreement(fast["score"], fast["de"])
        made.permuted[concept] = [agreement(fast["score"], fast[one]) for one in PERMUTATIONS]
    return made


def keep(compared: Sequence[Compared], folder: Path) -> None:
    """Write `enrichment.csv`: of every library, concept and arm the sets with an FDR below `SCREENED`, with ES, NES, p and size."""
    found = [
        table[table["FDR"] < SCREENED].reset_index().assign(library=one.library.name, concept=concept, by=arm)
        for one in compared
        for (arm, concept), table in one.tables.items()
    ]
    columns = ["library", "concept", "by", "term", "ES", "NES", "p", "FDR", "size"]
    table = pd.concat(found)[columns] if found else pd.DataFrame(columns=columns)
    with whole_folder(folder) as making:
        table.round(6).to_csv(making / "enrichment.csv", index=False)


@dataclass(frozen=True)
class Live:
    """One concept, enriched here by gseapy."""

    concept: int
    ranking: GeneRanking
    made: Enrichment
    alone: pd.DataFrame
    """The first library by the batched form."""
    together: pd.DataFrame
    """Its sets again, run with those of all libraries."""

    def path(self, term: str) -> np.ndarray:
        """Running sum of a set along the ranking, `(genes,)`."""
        return running_sum(np.abs(self.ranking.scores), self.places(term))

    def places(self, term: str) -> np.ndarray:
        """Of the genes of a set in the ranking, from 0."""
        return np.flatnonzero(np.isin(self.ranking.genes, self.made.sets.genes(term)))


def live(
    rows: pd.DataFrame, chosen: Sequence[int], of: Sequence[Library], permutations: int, seed: int
) -> Live | None:
    """Enrich the concept with the largest attribution of a gene, in the first library; None without one."""
    if not of:
        return None
    mine = rows[rows["concept"].isin(chosen)]
    concept = int(mine.loc[mine["score"].idxmax(), "concept"])
    values = scores(rows, concept)
    every = {name: genes for library in of for name, genes in library.sets.items()}
    both = Library(" and ".join(one.name for one in of), "", every)
    alone, together = (
        FastPrerank.of(values, GeneSets.of(one, values.index), permutations, seed).table()
        for one in (of[0], both)
    )
    made = enrich(values, of[0], permutations, seed)
    return Live(concept, GeneRanking.of(values), made, alone, together)
