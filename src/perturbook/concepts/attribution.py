"""Counterfactual attribution: what of a concept's activity goes when one gene takes the counterfactual's value.

Source: `concepts.md` sections 5.1 and 5.3.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.attribution_tables import pair_table, swap_columns, swap_table
from perturbook.concepts.concept_pairs import Matched, PairReader, ReadPair, match
from perturbook.concepts.concept_scores import MOST_OVERTAKEN, concept_scores, ranking
from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.encoder_passes import Passes, answer
from perturbook.concepts.gradient_screen import Screen, first_order, shortlists
from perturbook.concepts.swap_encoder import Concepts, SwapEncoder
from perturbook.concepts.token_swap import raw_inputs
from perturbook.errors import ConfigError


@dataclass(frozen=True)
class ConceptAttribution:
    """Attributions of one concept."""

    concept: int
    genes: list[str]
    """Names of all genes of the data."""
    swaps: pd.DataFrame
    """One row per prototype, counterfactual and gene that differs: `prototype` and `counterfactual` (rows of the data), `gene`
    (column), `kind` (position in `KINDS`), `relative`, `absolute`, `pre` (NaN where not computed), `overtaken` (code 0
    while the pre-activation is positive), `exact`, `first_order` (predicted relative change; NaN without a screen)."""
    matched: list[Matched]
    """Prototypes and counterfactuals, best first."""
    refused: int
    """Cells passed over as prototypes because the concept is not active in them on their list of genes."""

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row per pair, and one per prototype without one: cells, status, distance, candidates passed over, codes and
        pre-activations on the list, and how far the list moved the embeddings."""
        return pair_table(self.matched, self.concept)

    @property
    def counterfactuals(self) -> dict[int, int]:
        """How many each prototype has, without those that have none."""
        return {one.cell: len(one.read) for one in self.matched if one.read}

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per gene; see `concept_scores`."""
        return concept_scores(self.swaps, self.genes, self.counterfactuals)

    @property
    def overtaken(self) -> float:
        """Share of computed swaps after which another concept holds the place; NaN where there are none."""
        return float(self.swaps.loc[self.swaps["exact"], "overtaken"].mean())

    @property
    def rank_by(self) -> str:
        """ "pre" where more than 20 % of the swaps are overtaken, else "relative"."""
        return "pre" if self.overtaken > MOST_OVERTAKEN else "relative"

    @property
    def ranking(self) -> pd.Series:
        """Tested genes with exact scores, highest first."""
        return ranking(self.scores, self.rank_by)


def attribute(
    encoder: SwapEncoder,
    concepts: Concepts,
    cells: Cells,
    chosen: Sequence[int],
    settings: AttributionSettings | None = None,
    screen: Screen | None = None,
) -> tuple[dict[int, ConceptAttribution], Passes]:
    """Attribute some concepts to genes.

    Args:
        encoder: which made the embeddings of `cells`.
        concepts: codes of embeddings.
        cells: among which prototypes and counterfactuals are sought; the training cells.
        chosen: numbers of the concepts.
        settings: which cells are taken; the defaults where None.
        screen: compute exactly only what a derivative puts first; all where None.

    Returns:
        By concept its attribution, and the encoder passes it took. A concept that no cell activates has no swaps.

    Raises:
        InputError: a column of obs is missing, or a cell lacks a label there.
        ConfigError: a screen at the level of counts, which has no derivative.
    """
    settings = settings or AttributionSettings()
    if screen is not None and settings.level == "raw":
        raise ConfigError(
            "Swaps of counts move other bins, so they have no derivative; use level='token' or no screen."
        )
    reader, codes = PairReader(encoder, concepts, cells, settings.by), cells.codes(concepts, chosen)
    matched = {one: match(reader, of, one, settings) for one, of in zip(chosen, codes.T, strict=True)}
    pairs: dict[tuple[int, int], ReadPair] = {}
    users: dict[tuple[int, int], list[int]] = defaultdict(list)
    for concept, (found, _) in matched.items():
        for read in (read for one in found for read in one.read):
            key = read.pair.cell, read.pair.counterfactual
            pairs.setdefault(key, read)
            users[key].append(concept)
    reads, of = list(pairs.values()), list(users.values())
    passes = _expected(reads, of)
    if screen is not None:
        changes = [first_order(encoder, concepts, *one) for one in zip(reads, of, strict=True)]
        verified = shortlists(reads, changes, [np.array(one) for one in of], screen)
    else:
        changes, verified = [None] * len(reads), [read.pair.at for read in reads]
    parts: dict[int, list[dict]] = {one: [] for one in chosen}
    for number, at, embeddings in _answers(encoder, cells, reads, verified, settings.level, passes):
        made = swap_columns(concepts, reads[number], of[number], at, embeddings, changes[number])
        for concept, part in made.items():
            parts[concept].append(part)
    found = {
        one: ConceptAttribution(one, list(cells.genes), swap_table(parts[one]), *matched[one])
        for one in chosen
    }
    return found, passes


def _expected(reads: list[ReadPair], of: list[list[int]]) -> Passes:
    uses = [len(one) for one in of]
    return Passes(
        asked=sum(len(read.pair.genes) * n for read, n in zip(reads, uses, strict=True)),
        differing=sum(len(read.pair.at) * n for read, n in zip(reads, uses, strict=True)),
        shared=sum(len(read.pair.at) for read in reads),
    )


def _answers(encoder, cells: Cells, reads: list[ReadPair], verified: list, level: str, passes: Passes):
    """Number of the pair, positions on its list, and embeddings of the swaps there."""
    pairs = [read.pair for read in reads]
    if level == "token":
        for number, embeddings in answer(encoder, pairs, verified, passes):
            yield number, verified[number], embeddings
        return
    for number, pair in enumerate(pairs):
        at, inputs = raw_inputs(encoder, cells.counts[[pair.cell, pair.counterfactual]], pair)
        passes.run += len(at)
        yield number, at, encoder.embed(pair.genes, inputs)
