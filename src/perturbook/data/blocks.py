"""Values in blocks of rows, so that a matrix on disk is never in memory as a whole."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

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
