"""Cells with the embeddings that an encoder gave them: among these prototypes and counterfactuals are sought."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from perturbook.concepts.swap_encoder import Concepts
from perturbook.errors import InputError, ShapeError

BLOCK = 4096
"""Cells whose codes are in memory at once, all concepts of them."""


@dataclass(frozen=True)
class Cells:
    """Cells with their embeddings; raises ShapeError where the parts do not fit together."""

    counts: sp.csr_matrix
    """`(cells, genes)`, what the encoder was given."""
    embeddings: np.ndarray
    """`(cells, width)`, as the encoder gives them."""
    genes: Sequence[str]
    """Names of the columns of `counts`, unique."""
    obs: pd.DataFrame
    """Labels, one row per cell."""

    def __post_init__(self):
        shape, n = self.counts.shape, len(self.embeddings)
        if shape != (len(self.obs), len(self.genes)) or n != shape[0]:
            raise ShapeError(
                f"counts {shape}, {n} embeddings, {len(self.obs)} rows of obs and {len(self.genes)} genes do not fit."
            )
        if len(set(self.genes)) < len(self.genes):
            raise InputError("Gene names stand twice; each column of counts needs one of its own.")

    def codes(self, concepts: Concepts, chosen: Sequence[int]) -> np.ndarray:
        """Codes of some concepts in every cell, `(cells, chosen)` float32."""
        made = np.empty((len(self.embeddings), len(chosen)), dtype=np.float32)
        with torch.no_grad():
            for start in range(0, len(made), BLOCK):
                block = torch.from_numpy(np.ascontiguousarray(self.embeddings[start : start + BLOCK]))
                made[start : start + BLOCK] = concepts.encode(block)[:, list(chosen)].numpy()
        return made
