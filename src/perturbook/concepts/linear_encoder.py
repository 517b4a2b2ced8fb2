"""A linear encoder: the one whose attributions can be written down, for tests and simulated cells.

Source: `concepts.md` section 13, checks 2 and 12.
"""

import hashlib

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from perturbook.concepts.swap_encoder import Readout
from perturbook.errors import ShapeError


class LinearEncoder:
    """`z = A x` of the values themselves, in float64."""

    most_genes = None
    mask_value = None

    def __init__(self, matrix: np.ndarray):
        """Args: `matrix` A, `(width, genes)`. Raises ShapeError where it has not two axes."""
        self.matrix = torch.as_tensor(np.asarray(matrix), dtype=torch.float64)
        if self.matrix.ndim != 2:
            raise ShapeError(f"The matrix has shape {tuple(self.matrix.shape)}; expected (width, genes).")
        self.width = self.matrix.shape[0]
        self.identity = hashlib.sha256(self.matrix.contiguous().numpy().tobytes()).hexdigest()

    def read(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """The values themselves, `(cells, genes)`."""
        return sp.csr_matrix(counts, dtype=np.float32)

    def embed(self, genes: np.ndarray, values: np.ndarray) -> Tensor:
        """`(n, width)` of values `(n, L)`."""
        return torch.as_tensor(values, dtype=torch.float64) @ self.matrix[:, genes].T

    def swapped(self, genes: np.ndarray, base: np.ndarray, at: np.ndarray, new: np.ndarray) -> Tensor:
        """`(n, width)`: the embedding of the base plus one column times a difference."""
        change = torch.as_tensor(new.astype(float) - base[at])
        return self.embed(genes, base[None]) + change[:, None] * self.matrix[:, genes[at]].T

    def first_order(
        self, genes: np.ndarray, base: np.ndarray, other: np.ndarray, readout: Readout
    ) -> np.ndarray:
        """Derivative times difference, `(readouts, L)`."""
        at_base = self.embed(genes, base[None]).requires_grad_()
        read = readout(at_base)[0]
        slopes = torch.stack([torch.autograd.grad(one, at_base, retain_graph=True)[0][0] for one in read])
        return (slopes @ self.matrix[:, genes]).numpy() * (other.astype(float) - base)
