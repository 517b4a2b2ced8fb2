"""The pairs a concept is attributed on: prototypes and their counterfactuals, checked on the list of genes of each pair.

On that list a prototype may no longer activate the concept, or a counterfactual may: the next cell is then taken, and
counted. A prototype without any matching cell keeps its place with the status "no match". Source: `concepts.md` sections
4 (point 2) and 5.1.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.counterfactual_cells import candidates
from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.prototypes import prototypes
from perturbook.concepts.swap_encoder import Concepts, SwapEncoder
from perturbook.concepts.token_swap import Pair, make_pair
from perturbook.errors import ConfigError, InputError

MATCHED, NO_MATCH, NONE_STAYS = "matched", "no match", "no candidate fits"
TRIED = 20
"""Candidates that are tried before a prototype is given up with the status "no candidate fits"."""


@dataclass(frozen=True)
class ReadPair:
    """A pair, and what the encoder and the concepts make of its two cells on its list."""

    pair: Pair
    embeddings: Tensor
    """`(2, width)`: prototype and counterfactual."""
    pre: np.ndarray
    """Pre-activations `(2, m)`."""
    codes: np.ndarray
    """`(2, m)`."""
    shifts: np.ndarray
    """Distance of each embedding from the stored one of the cell, `(2,)`."""


@dataclass
class PairReader:
    """Makes pairs; each is read once, whatever concepts share it."""

    encoder: SwapEncoder
    concepts: Concepts
    cells: Cells
    by: str = "swap"
    """What a gene takes the value of; see `AttributionSettings.by`."""
    known: dict[tuple[int, int], ReadPair] = field(default_factory=dict)

    def __call__(self, row: int, other: int) -> ReadPair:
        """The pair of cells `row` and `other`."""
        if (row, other) not in self.known:
            counts = self.cells.counts[[row, other]]
            pair = make_pair(counts, self.encoder.read(counts), (row, other), self.encoder.most_genes)
            self.known[row, other] = self._read(pair)
        return self.known[row, other]

    def instead(self, read: ReadPair) -> ReadPair:
        """The pair itself, or what it is where genes are removed or masked instead of swapped.

        Raises:
            ConfigError: the encoder has no mask.
        """
        if self.by == "swap":
            return read
        value = 0.0 if self.by == "removal" else self.encoder.mask_value
        if value is None:
            raise ConfigError("This encoder has no token that masks a value; use by='swap' or by='removal'.")
        return self._read(read.pair.with_value(value))

    def _read(self, pair: Pair) -> ReadPair:
        z = self.encoder.embed(pair.genes, np.stack([pair.base, pair.other]))
        with torch.no_grad():
            pre, codes = self.concepts.pre_activations(z).numpy(), self.concepts.encode(z).numpy()
        shifts = np.linalg.norm(z.numpy() - self.cells.embeddings[[pair.cell, pair.counterfactual]], axis=1)
        return ReadPair(pair, z, pre, codes, shifts)


@dataclass(frozen=True)
class Matched:
    """One prototype of a concept and its counterfactuals."""

    cell: int
    status: str
    """"matched"; "no match", where no cell has the labels; "no candidate fits", where all that were tried changed
    their activity on the list of genes."""
    read: tuple[ReadPair, ...]
    """The pairs, nearest first."""
    distances: tuple[float, ...]
    """Between the stored embeddings."""
    passed_over: int
    """Candidates left out because of their activity on the list."""


def match(
    reader: PairReader, codes: np.ndarray, concept: int, settings: AttributionSettings
) -> tuple[list[Matched], int]:
    """Prototypes of one concept with their counterfactuals.

    Args:
        reader: makes the pairs.
        codes: of this concept in every cell, `(cells,)`.
        concept: its number among the concepts of the reader.
        settings: which cells are taken.

    Returns:
        The prototypes, best first, and how many cells were refused because the concept is not active in them on their list.

    Raises:
        InputError: a column of obs is missing.
    """
    obs = reader.cells.obs
    if settings.donor is not None and settings.donor not in obs:
        raise InputError(
            f"obs has no column {settings.donor!r} for donor; it has {', '.join(map(str, obs.columns))}."
        )
    donors = None if settings.donor is None else obs[settings.donor].to_numpy()
    found: dict[int, Matched] = {}
    refused: set[int] = set()
    while True:
        rows = prototypes(
            codes,
            settings.prototypes,
            stratum=settings.stratum,
            donors=donors,
            per_donor=settings.per_donor,
            refused=refused,
        )
        for row in (int(one) for one in rows if one not in found):
            if (made := _match_one(reader, codes, concept, row, settings)) is None:
                refused.add(row)
            else:
                found[row] = made
        if not refused.intersection(rows):
            return [found[int(row)] for row in rows], len(refused)


def _match_one(
    reader: PairReader, codes: np.ndarray, concept: int, row: int, settings: AttributionSettings
) -> Matched | None:
    """The counterfactuals of one cell; None where the concept is not active in it on its list of genes."""
    others, distances = candidates(
        reader.cells.embeddings,
        codes,
        row,
        reader.cells.obs,
        settings.match_on,
        against=settings.against,
        seed=settings.seed,
    )
    if not len(others):
        return Matched(row, NO_MATCH, (), (), 0)
    read, apart, passed_over = [], [], 0
    for other, distance in zip(others[: TRIED + settings.k - 1], distances, strict=False):
        one = reader(row, int(other))
        if not one.codes[0, concept] > 0:
            return None
        if (one.codes[1, concept] > 0) != (settings.against == "active"):
            passed_over += 1
            continue
        read.append(one)
        apart.append(float(distance))
        if len(read) == settings.k:
            break
    status = MATCHED if read else NONE_STAYS
    return Matched(row, status, tuple(map(reader.instead, read)), tuple(apart), passed_over)
