"""One look at all values before anything is computed: what cannot be embedded is said once, and at the start."""

import hashlib
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from perturbook.data.findings import three
from perturbook.errors import InputError
from perturbook.models.backbones.cells_read import CellsRead


@dataclass(frozen=True)
class Survey:
    """What the values are, and which cells can be embedded."""

    known: np.ndarray
    """Genes that the backbone reads, `(genes,)` bool."""
    empty: np.ndarray
    """Cells without any value, `(cells,)` bool."""
    unknown: np.ndarray
    """Cells with values, none of them in a gene that the backbone reads, `(cells,)` bool."""
    data_sha256: str
    """Over names, symbols and values, whatever their order within a row of a sparse matrix."""

    @property
    def defined(self) -> np.ndarray:
        """Cells that can be embedded, `(cells,)` bool."""
        return ~(self.empty | self.unknown)

    @property
    def said(self) -> str:
        """How many cells cannot be embedded, one clause."""
        return f"{self.unknown.sum():,} cells without a known gene, {self.empty.sum():,} empty"

    def refuse_undefined(self, names: np.ndarray) -> None:
        """Raise InputError that counts and names the cells that cannot be embedded, if there are any."""
        if not self.defined.all():
            raise InputError(
                f"{self.said}, of {len(names):,}: {three(names[~self.defined])}. They have no embedding: leave them out, "
                "or ask for undefined rows (undefined=True, --undefined), which are NaN."
            )


def survey(cells: CellsRead, known: np.ndarray) -> Survey:
    """Read all values once, a block at a time.

    Raises:
        InputError: a value is not finite, or negative; the first is named with its cell and gene.
    """
    n_cells, n_genes = cells.shape
    empty, unknown = np.empty(n_cells, bool), np.empty(n_cells, bool)
    digest = hashlib.sha256(f"{n_cells} {n_genes} {cells.uns.get('value_kind', '')}".encode())
    for names in (cells.obs.index, cells.var.index):
        digest.update("\0".join(names).encode())
    for rows, values in cells.values():
        _refuse_values(cells, rows, values)
        filled = np.diff(values.indptr)
        there = np.diff(np.r_[0, np.cumsum(known[values.indices])][values.indptr])
        empty[rows], unknown[rows] = filled == 0, (filled > 0) & (there == 0)
        for part in (values.data.astype(float), values.indices.astype(np.int64), filled.astype(np.int64)):
            digest.update(np.ascontiguousarray(part).data)
    return Survey(known, empty, unknown, digest.hexdigest())


def _refuse_values(cells: CellsRead, rows: slice, values: sp.csr_matrix) -> None:
    for bad, what in (
        (~np.isfinite(values.data), "values that are not finite; fill or drop them"),
        (values.data < 0, "negative values; it looks scaled or centred, give the values before scaling"),
    ):
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            row = rows.start + int(np.searchsorted(values.indptr, at, side="right")) - 1
            told = f"{values.data[at]:g} in cell {cells.obs.index[row]!r}, gene {cells.var.index[values.indices[at]]!r}"
            raise InputError(f"{cells.where} has {what}. The first is {told}.")
