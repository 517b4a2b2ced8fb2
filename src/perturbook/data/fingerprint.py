"""A 64-bit fingerprint of a cell's counts, by which a cell is known again in another file or another order of genes."""

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.blocks import row_blocks
from perturbook.data.schema import COUNT_KINDS

LEAST_GENES = 20
"""A cell with fewer expressed genes has no fingerprint of its own: two such cells may well be equal by chance."""


@cache
def _number(symbol: str) -> int:
    return int.from_bytes(blake2b(symbol.encode(), digest_size=8).digest(), "little")


def fingerprints(matrix, genes: Sequence[str]) -> np.ndarray:
    """f_i = sum over genes g of x_ig h(g) modulo 2^64, h a hash of the symbol; 0 for fewer than 20 expressed genes.

    Neither the order of the genes nor genes without counts matter; other counts of one gene give another number.

    Args:
        matrix: whole-number counts `(cells, genes)`, in memory or on disk.
        genes: symbols, `(genes,)`.

    Returns:
        uint64 `(cells,)`.

    Source: our choice.
    """
    numbers = np.array([_number(str(gene)) for gene in genes], dtype=np.uint64)
    found = np.zeros(matrix.shape[0], np.uint64)
    for rows, values in row_blocks(matrix):
        block = sp.csr_matrix(values)
        products = np.rint(block.data).astype(np.uint64) * numbers[block.indices]  # wraps around
        running = np.concatenate([[np.uint64(0)], np.cumsum(products, dtype=np.uint64)])
        sums = running[block.indptr[1:]] - running[block.indptr[:-1]]
        long_enough = np.diff(block.indptr) >= LEAST_GENES
        found[rows] = np.where(long_enough, sums, 0)
    return found


def fingerprints_of(adata: AnnData) -> np.ndarray | None:
    """`fingerprints` of canonical cells, `(cells,)`; None where `X` holds no counts."""
    return fingerprints(adata.X, adata.var_names) if adata.uns["value_kind"] in COUNT_KINDS else None
