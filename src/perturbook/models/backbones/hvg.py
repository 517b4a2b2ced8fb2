"""`hvg`: the highly variable genes themselves, the plainest embedding there is.

Source: `datasets.md` section 1 for the values; scanpy's flavour "seurat" (Satija et al. 2015, doi 10.1038/nbt.3192) for the
choice of genes; that it stands beside every backbone is our choice.
"""

import hashlib
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from perturbook.errors import ConfigError
from perturbook.models.backbones.backbone import recipe
from perturbook.models.backbones.log_expression import log_expression

N_TOP = 2000
"""Genes kept, as in scanpy's tutorials."""


class HighlyVariableGenes:
    """log1p of counts per 10,000 of the genes that vary most, for their mean, in the cells it was fitted on."""

    name, title, key = "hvg", "Highly variable genes", "X_hvg"

    def __init__(self, cells: AnnData, n_top: int = N_TOP):
        """Choose the genes.

        Args:
            cells: counts, or logarithms declared as such, `(cells, genes)` in memory; see `log_expression`.
            n_top: genes to keep; all where the cells have no more.

        Raises:
            ConfigError: `n_top` is below 1.
            InputError: the values are neither counts nor declared logarithms.
        """
        if n_top < 1:
            raise ConfigError(f"n_top is {n_top}; at least one gene must be kept.")
        self.genes = [str(name) for name in cells.var_names]
        self.top = _most_variable(log_expression(cells, self.genes), self.genes, n_top)

    @property
    def width(self) -> int:
        """Number of genes kept."""
        return len(self.top)

    @cached_property
    def identity(self) -> str:
        """sha256 over all genes and those that were kept."""
        return hashlib.sha256("\n".join([*self.genes, "", *map(str, self.top)]).encode()).hexdigest()

    def encode(self, cells: AnnData) -> np.ndarray:
        """Values of the kept genes `(cells, width)` float32; raises InputError for values of another kind."""
        return log_expression(cells, self.genes)[:, self.top].toarray()


def _most_variable(logs: sp.csr_matrix, genes: list[str], n_top: int) -> np.ndarray:
    """Positions of the genes to keep, ascending; exactly `n_top`, ties by symbol, so that no order of genes matters."""
    if len(genes) <= n_top:
        return np.arange(len(genes))
    import scanpy

    table = scanpy.pp.highly_variable_genes(AnnData(logs), n_top_genes=n_top, flavor="seurat", inplace=False)
    score = np.nan_to_num(table["dispersions_norm"].to_numpy(float), nan=-np.inf)
    return np.sort(np.lexsort([genes, -score])[:n_top])


@recipe("hvg", title=HighlyVariableGenes.title, fitted=True)
def hvg(cells: AnnData, seed: int = 0, *, n_top: int = N_TOP) -> HighlyVariableGenes:
    """Fit on `cells`; nothing is drawn, so that `seed` changes nothing."""
    return HighlyVariableGenes(cells, n_top)
