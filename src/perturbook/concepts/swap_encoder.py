"""What an encoder must be able to answer for its concepts to be attributed to genes, and what a set of concepts must.

An encoder reads a number from every gene of a cell: a bin, a count, an expression value. A zero is a gene that is not
there. What is asked is the embedding of one cell with one of these numbers replaced. Source: `concepts.md` sections 4
and 5; the interface is our choice.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from torch import Tensor

Readout = Callable[[Tensor], Tensor]
"""Embeddings `(cells, width)` to the numbers that are differentiated, `(cells, readouts)`."""


class SwapEncoder(Protocol):
    """A frozen, deterministic encoder: equal input, equal embedding, whatever else stands in the batch."""

    width: int
    """Numbers per cell, d."""
    identity: str
    """sha256 of everything that decides an embedding beside the cell."""
    most_genes: int | None
    """Genes that fit into one pass; None where there is no limit."""
    mask_value: float | None
    """The value that stands for one that is not shown; None where the encoder has none."""

    def read(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """What it reads of cells `(cells, genes)`: CSR float32 of the same shape, zero where it reads nothing."""

    def embed(self, genes: np.ndarray, values: np.ndarray) -> Tensor:
        """Embeddings `(n, width)` of inputs `values` `(n, L)` over the genes `genes` `(L,)`, columns of the counts."""

    def swapped(self, genes: np.ndarray, base: np.ndarray, at: np.ndarray, new: np.ndarray) -> Tensor:
        """Embeddings `(n, width)` of one input `base` `(L,)` with the number at position `at[i]` replaced by `new[i]`."""

    def first_order(
        self, genes: np.ndarray, base: np.ndarray, other: np.ndarray, readout: Readout
    ) -> np.ndarray:
        """Change of each readout, to first order, by replacing one number of `base` by that of `other`:
        `(readouts, L)`, 0 where both are equal."""


class Concepts(Protocol):
    """A set of m concepts on embeddings, such as a `Dictionary`. The codes of a cell must not depend on other cells."""

    def pre_activations(self, x: Tensor) -> Tensor:
        """`(cells, m)` of embeddings `(cells, width)`, differentiable."""

    def encode(self, x: Tensor) -> Tensor:
        """Codes `(cells, m)`, none negative; concept j is active where its code is above 0."""
