"""A pair of cells and the swap: one gene of a cell takes the value that it has in the counterfactual cell.

A pair has one list of genes, made before any swap, that serves the cell, every swap and the counterfactual itself, so
that nothing but the swapped gene ever differs. Source: `concepts.md` sections 4 and 5.1.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from perturbook.errors import ConfigError, InputError

KINDS = ("value change", "removal", "addition")
"""Both cells express the gene; the cell alone; the counterfactual alone."""


@dataclass(frozen=True)
class Pair:
    """One cell, its counterfactual, and what the encoder reads of both on their list of genes."""

    cell: int
    """Row of the cell."""
    counterfactual: int
    """Row of the counterfactual."""
    genes: np.ndarray
    """Columns of the counts, ascending, `(L,)` int64."""
    base: np.ndarray
    """What the encoder reads of the cell, `(L,)` float32; 0 is a gene that is not there."""
    other: np.ndarray
    """The same of the counterfactual."""

    @cached_property
    def at(self) -> np.ndarray:
        """Positions on the list whose genes differ, `(swaps,)`; the others have an attribution of exactly 0."""
        return np.flatnonzero(self.base != self.other)

    @property
    def new(self) -> np.ndarray:
        """The value that each differing gene takes, `(swaps,)`."""
        return self.other[self.at]

    def kinds(self, at: np.ndarray) -> np.ndarray:
        """Kind of the swap at each position, as a position in `KINDS`, `(n,)` int8."""
        gone, fresh = self.other[at] == 0, self.base[at] == 0
        return np.where(gone, 1, np.where(fresh, 2, 0)).astype(np.int8)

    def together(self, at: np.ndarray) -> np.ndarray:
        """The input with all genes at positions `at` swapped at once, `(L,)`."""
        made = self.base.copy()
        made[at] = self.other[at]
        return made

    def with_value(self, value: float) -> "Pair":
        """The same list, each gene of the cell to be set to `value` instead: 0 removes it, -1 is the mask of scGPT."""
        return replace(self, other=np.where(self.base != 0, np.float32(value), self.base))


def gene_list(cell: np.ndarray, other: np.ndarray, most: int | None) -> np.ndarray:
    """Genes of a pair: all that either cell expresses, or the `most` that tell the two apart best.

    Of a longer union those come first that differ most in log1p of the value, then those expressed most, then those with
    the lower column.

    Args:
        cell: counts or expression `(genes,)`, not negative, 0 for genes that the encoder does not know.
        other: the same of the counterfactual.
        most: genes that the encoder takes; None for all.

    Returns:
        Columns, ascending, int64.

    Raises:
        InputError: neither cell expresses a known gene.
        ConfigError: `most` is below 1.
    """
    if most is not None and most < 1:
        raise ConfigError(f"most is {most}; a list needs at least one gene.")
    union = np.flatnonzero((cell != 0) | (other != 0))
    if not len(union):
        raise InputError(
            "Neither cell of a pair expresses a gene that the encoder knows; leave such cells out."
        )
    if most is None or len(union) <= most:
        return union
    one, two = np.log1p(cell[union].astype(float)), np.log1p(other[union].astype(float))
    order = np.lexsort((union, -np.maximum(one, two), -np.abs(one - two)))
    return np.sort(union[order[:most]])


def make_pair(counts: sp.csr_matrix, reads: sp.csr_matrix, rows: tuple[int, int], most: int | None) -> Pair:
    """The pair of two cells.

    Args:
        counts: the two cells, `(2, genes)`, the counterfactual second.
        reads: what the encoder reads of them, from `SwapEncoder.read`, `(2, genes)`.
        rows: their rows in the data, kept in the pair.
        most: as in `gene_list`.

    Raises:
        InputError: see `gene_list`.
    """
    cell, other = np.asarray(reads.toarray(), dtype=np.float32)
    known = (cell != 0) | (other != 0)
    genes = gene_list(*(np.where(known, one, 0) for one in counts.toarray()), most)
    return Pair(int(rows[0]), int(rows[1]), genes, cell[genes], other[genes])


def raw_inputs(encoder, counts: sp.csr_matrix, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of swaps at the level of counts: a count is replaced and the whole cell read anew, so other bins may move.

    Args:
        encoder: a `SwapEncoder`.
        counts: the two cells, `(2, genes)`, the counterfactual second.
        pair: made of them.

    Returns:
        Positions on the list of the genes whose counts differ, `(n,)`, and the inputs `(n, L)` float32.
    """
    cell, other = (np.asarray(row) for row in counts.toarray())
    at = np.flatnonzero(cell[pair.genes] != other[pair.genes])
    swapped = np.repeat(cell[None], len(at), axis=0)
    swapped[np.arange(len(at)), pair.genes[at]] = other[pair.genes[at]]
    return at, encoder.read(sp.csr_matrix(swapped))[:, pair.genes].toarray().astype(np.float32)
