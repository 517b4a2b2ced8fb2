"""The cells that `embed` reads: one matrix with names and symbols, in memory or on disk, handed out in blocks of rows."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from anndata.abc import CSCDataset

from perturbook.data import check_labels
from perturbook.data.blocks import row_blocks
from perturbook.data.schema import LOGNORM
from perturbook.errors import InputError

BLOCK = 512
"""Cells per block: what is in memory of a file at once, and what a run that was killed loses at most."""


class CellsRead:
    """A matrix `(cells, genes)` with its obs and the symbols of its genes; blocks of it are AnnData in memory."""

    def __init__(self, adata: AnnData, layer: str | None = None, symbols: str | None = None):
        """Look at names only; no value is read.

        Args:
            adata: in memory, or backed.
            layer: which layer to read; `X` where None.
            symbols: column of var with the gene symbols; var_names where None. A gene without a symbol keeps its name.

        Raises:
            InputError: there are no cells, genes or values, no such layer or column, or names stand twice.
        """
        if layer is not None and layer not in adata.layers:
            raise InputError(f"There is no layer {layer!r}; there are {', '.join(adata.layers) or 'none'}.")
        if symbols is not None and symbols not in adata.var:
            raise InputError(f"var has no column {symbols!r}; it has {', '.join(adata.var) or 'no column'}.")
        self.where = "X" if layer is None else f"layers[{layer!r}]"
        self.matrix = adata.X if layer is None else adata.layers[layer]
        names = adata.var_names if symbols is None else _symbols(adata.var[symbols], adata.var_names)
        self.var = pd.DataFrame(index=pd.Index(names.astype(str), dtype=object))
        self.obs = adata.obs.set_axis(adata.obs_names.astype(str), axis=0)
        kind = adata.uns.get("value_kind") if layer is None else LOGNORM if layer == LOGNORM else None
        self.uns = {} if kind is None else {"value_kind": str(kind)}
        if 0 in adata.shape or self.matrix is None:
            check_labels.not_empty(adata)
        check_labels.names_unique(SimpleNamespace(obs_names=self.obs.index, var_names=self.var.index))
        self.by_genes = isinstance(self.matrix, CSCDataset)
        if self.by_genes:
            self.matrix = self.matrix.to_memory()
        if sp.issparse(self.matrix) and self.matrix.format != "csr":
            self.matrix = self.matrix.tocsr()

    @property
    def shape(self) -> tuple[int, int]:
        """(cells, genes)."""
        return len(self.obs), len(self.var)

    def values(self) -> Iterator[tuple[slice, sp.csr_matrix]]:
        """Rows and values of each block, CSR without stored zeros, columns ascending; a copy, free to be changed."""
        for rows, block in row_blocks(self.matrix, BLOCK):
            tidy = sp.csr_matrix(block, copy=True)
            tidy.sum_duplicates()
            tidy.eliminate_zeros()
            yield rows, tidy

    def block(self, rows: slice, values: sp.csr_matrix, keep: np.ndarray) -> AnnData:
        """The cells of one block for which `keep` (cells of the block,) is True."""
        return AnnData(values[keep], self.obs.iloc[rows][keep], self.var, uns=dict(self.uns))

    def in_memory(self, keep: np.ndarray) -> AnnData:
        """All cells for which `keep` (cells,) is True, in memory, to fit on."""
        parts = [values[keep[rows]] for rows, values in self.values()]
        return AnnData(sp.vstack(parts, format="csr"), self.obs[keep], self.var, uns=dict(self.uns))


def _symbols(column: pd.Series, names: Sequence[str]) -> pd.Index:
    texts = column.astype(object)
    missing = texts.isna() | (texts.astype(str).str.strip() == "")
    return pd.Index(np.where(missing, names, texts.astype(str)), dtype=object)
