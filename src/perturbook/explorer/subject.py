"""What an atlas is of: cells with labels and three parts, their embeddings, and the encoder that made them, where there is one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.parts import parts
from perturbook.concepts.swap_encoder import SwapEncoder

EPOCHS, NEIGHBOURS = 200, 15


@dataclass(frozen=True)
class Subject:
    """Cells as one encoder sees them."""

    adata: AnnData
    """`X` is what the encoder was given; the columns `labels` of `obs` are text."""
    expression: sp.csr_matrix
    """`(cells, genes)`, log-normalised: what genes are compared by."""
    labels: Sequence[str]
    """Columns of `obs`; counterfactuals agree with their prototype in the first."""
    z: np.ndarray
    """`(cells, width)`."""
    encoder: SwapEncoder | None
    """None where the embedding is a reader's own, of which no gene can be asked."""
    seed: int = 0
    """Of the parts and the map."""

    @cached_property
    def part(self) -> np.ndarray:
        """train, valid or test of each cell `(cells,)`, drawn within the values of all labels together."""
        return divided(self.adata, self.labels, self.seed)

    @cached_property
    def training(self) -> Cells:
        """The cells that prototypes and counterfactuals are taken from."""
        own = self.part == "train"
        return Cells(self.adata.X[own].tocsr(), self.z[own], list(self.adata.var_names), self.adata.obs[own])

    @cached_property
    def place(self) -> np.ndarray:
        """UMAP of the embeddings `(cells, 2)`, three decimals."""
        import scanpy as sc

        cells = AnnData(obsm={"z": self.z}, shape=(len(self.z), 0))
        most = min(NEIGHBOURS, len(self.z) - 1)
        sc.pp.neighbors(cells, n_neighbors=most, use_rep="z", method="gauss", random_state=self.seed)
        sc.settings.verbosity = 0  # it would warn of the weights of the graph
        sc.tl.umap(cells, random_state=self.seed, maxiter=EPOCHS)
        return cells.obsm["X_umap"].astype(float).round(3)


def divided(adata: AnnData, labels: Sequence[str], seed: int) -> np.ndarray:
    """Parts of cells, drawn within the values of all `labels` together, `(cells,)`; with no labels, among all."""
    groups = np.zeros(adata.n_obs, "U1").astype(str)
    for label in labels:
        groups = np.char.add(np.char.add(groups, "\n"), adata.obs[label].to_numpy(str))
    return parts(groups, seed)
