"""Values in blocks of rows, so that a matrix on disk is never in memory as a whole."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.schema import LOGNORM

ROWS = 10_000
"""Cells per block; 2,000 genes at a tenth of non-zero values are then 25 MB (our choice)."""


def row_blocks(matrix, size: int = ROWS) -> Iterator[tuple[slice, sp.csr_matrix | np.ndarray]]:
    """Yield `(rows, values)` in the order of the rows: CSR where `matrix` is sparse, else a dense array.

    Args:
        matrix: `(cells, genes)` in memory, or the `X` or a layer of a backed AnnData, in HDF5 or zarr.
        size: rows per block.
    """
    for start in range(0, matrix.shape[0], size):
        rows = slice(start, min(start + size, matrix.shape[0]))
        values = matrix[rows]
        yield rows, sp.csr_matrix(values) if sp.issparse(values) else np.asarray(values)


def cell_blocks(adata: AnnData) -> Iterator[tuple[slice, AnnData]]:
    """Yield `(rows, cells)`: `X` and `lognorm` of a block in memory, beside its labels and `value_kind`."""
    names = [name for name in (LOGNORM,) if name in adata.layers]
    uns = {"value_kind": adata.uns["value_kind"]}
    for (rows, x), *layers in zip(
        row_blocks(adata.X), *map(row_blocks, (adata.layers[n] for n in names)), strict=True
    ):
        values = {name: block for name, (_, block) in zip(names, layers, strict=True)}
        yield rows, AnnData(X=x, obs=adata.obs.iloc[rows], var=adata.var, layers=values, uns=uns)


def row_totals(matrix, of=lambda values: values) -> np.ndarray:
    """Sums over the genes of every cell, `(cells,)` float64; `of` is applied to the stored values first."""
    totals = np.empty(matrix.shape[0])
    for rows, values in row_blocks(matrix):
        values = values.astype(float)
        if sp.issparse(values):
            values.data = of(values.data)
            totals[rows] = np.asarray(values.sum(axis=1)).ravel()
        else:
            totals[rows] = of(values).sum(axis=1)
    return totals
