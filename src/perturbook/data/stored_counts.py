"""The counts of a large file, left on disk and read in blocks of cells: what that needs, and the part that is kept.

Source: `datasets.md` section 4 (under 16 GB, need said beforehand); the bound and its constants are our choice.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse as sp
from anndata.io import sparse_dataset

from perturbook.data import blocks
from perturbook.data.findings import three
from perturbook.data.folders import cache_folder
from perturbook.data.own_files import reading
from perturbook.data.schema import normalise
from perturbook.errors import InputError

LIMIT = 16e9
"""Bytes of memory a preparation may take."""
VALUE_BYTES = 16
"""Bytes of a kept count and its log-normalised value: two floats and two column numbers of 4 bytes."""
BLOCK_BYTES = 64
"""Bytes of a stored value of the block at hand, while it is read, normalised and checked; measured."""
TURN_BYTES = 48
"""Bytes of a stored value of a matrix by genes: as it lies and turned, each up to 16, and the block at hand."""
CELL_BYTES = 1_000
"""Bytes of the labels and names of a cell, in the file's table and in ours; measured."""
PROGRAM_BYTES = 400_000_000
"""Python and its libraries; measured."""
PLACES = ("layers/counts", "X")
"""Where counts may lie, in order: files that keep log-normalised values in `X` have a layer of counts."""


@dataclass
class StoredCounts:
    """The matrix of counts of an open file."""

    path: Path
    where: str
    """Its place in the file."""
    matrix: object
    """`(cells, genes)` on disk; reads the rows it is asked for."""
    per_cell: np.ndarray | None
    """Stored values of each cell (cells,); None for a matrix stored by genes, which does not know them."""

    @classmethod
    def of(cls, file: h5py.File, path: Path) -> "StoredCounts":
        """Find the counts; no value is read. Raises InputError where there are none."""
        where = next((place for place in PLACES if place in file), None)
        if where is None:
            raise InputError(f"{path} has neither {' nor '.join(PLACES)}: there are no counts to read.")
        if isinstance(file[where], h5py.Dataset):
            matrix = file[where]
            return cls(path, where, matrix, np.full(matrix.shape[0], matrix.shape[1]))
        matrix = sparse_dataset(file[where])
        by_cell = matrix.format == "csr"
        return cls(path, where, matrix, np.diff(file[where]["indptr"][:]) if by_cell else None)

    def beside(self) -> float:
        """Upper bound of the bytes of memory taken by anything but the kept values."""
        if self.per_cell is None:
            at_hand = TURN_BYTES * len(self.matrix.group["data"])
        else:
            starts = np.arange(0, len(self.per_cell), blocks.ROWS)
            at_hand = BLOCK_BYTES * int(np.add.reduceat(self.per_cell, starts).max())
        return PROGRAM_BYTES + CELL_BYTES * self.matrix.shape[0] + at_hand

    def most_values(self, rows: np.ndarray, panel: int) -> int:
        """Upper bound of the values kept of `rows` (cells,) in `panel` genes."""
        if self.per_cell is None:
            return min(len(self.matrix.group["data"]), int(rows.sum()) * panel)
        return int(np.minimum(self.per_cell[rows], panel).sum())

    def need_text(self, rows: np.ndarray, panel: int) -> str:
        """What the preparation needs, in words.

        Raises:
            InputError: a matrix stored by genes, which must be turned in memory, does not fit.
        """
        kept = VALUE_BYTES * self.most_values(rows, panel)
        memory = self.beside() + kept
        if self.per_cell is None and memory > LIMIT:
            raise InputError(
                f"{self.path} stores {self.where} by genes; to turn it takes {memory / 1e9:.1f} GB of memory, more than "
                f"{LIMIT / 1e9:.0f} GB. Write it by cells (CSR) first."
            )
        cache = cache_folder()
        free = shutil.disk_usage(next(one for one in (cache, *cache.parents) if one.exists())).free
        cells, genes = self.matrix.shape
        return (
            f"{self.path.name} has {cells:,} cells x {genes:,} genes, of which {rows.sum():,} cells are kept. It is read "
            f"twice in blocks of {blocks.ROWS:,} cells; that takes at most {min(memory, LIMIT) / 1e9:.1f} GB of memory and "
            f"{kept / 1e9:.1f} GB of disk in {cache} ({free / 1e9:.0f} GB free), and stops before {LIMIT / 1e9:.0f} GB of "
            "memory. The options genes and cells_per_condition make it less."
        )

    def blocks(self, rows: np.ndarray) -> Iterator[tuple[slice, sp.csr_matrix]]:
        """Yield each block of the file that has cells of `rows` (cells,), with the counts of these cells.

        Raises:
            InputError: the file is damaged, or a value is no count.
        """
        with reading(self.path):
            matrix = self.matrix.to_memory().tocsr() if self.per_cell is None else self.matrix
            for at, values in blocks.row_blocks(matrix, blocks.ROWS):
                if rows[at].any():
                    yield at, self._counts(sp.csr_matrix(values)[rows[at]])

    def _counts(self, block: sp.csr_matrix) -> sp.csr_matrix:
        values = block.data
        bad = values[~(np.isfinite(values) & (values >= 0) & (values == np.round(values)))]
        if bad.size:
            raise InputError(
                f"{self.path}: {self.where} does not hold counts but {three(f'{one:g}' for one in bad)}. This version keeps "
                f"other values; take one with counts in {' or '.join(PLACES)}."
            )
        return block

    def part(self, rows: np.ndarray, panel: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
        """Counts of `rows` (cells,) in the genes at `panel`, CSR float32, and totals of these cells over all genes.

        Raises:
            InputError: they pass 16 GB of memory.
        """
        data, columns, lengths, depth, kept = [], [], [], [], 0
        room = LIMIT - self.beside()
        for at, block in self.blocks(rows):
            depth.append(np.asarray(block.sum(axis=1, dtype=float)).ravel())
            part = block[:, panel]
            part.eliminate_zeros()
            part.sort_indices()
            data.append(part.data.astype(np.float32))
            columns.append(part.indices.astype(np.int32))
            lengths.append(np.diff(part.indptr))
            kept += part.nnz
            if VALUE_BYTES * kept > room:
                raise InputError(
                    f"The kept counts pass {LIMIT / 1e9:.0f} GB of memory at cell {at.stop:,} of {len(rows):,}. Keep fewer "
                    "genes (genes=) or cells (cells_per_condition=)."
                )
        starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths), dtype=np.int64)])
        joined = []
        for pieces in (data, columns):  # one after the other, so that only one stands twice in memory
            joined.append(np.concatenate(pieces))
            pieces.clear()
        return sp.csr_matrix((*joined, starts), shape=(len(starts) - 1, len(panel))), np.concatenate(depth)


def normalise_in_blocks(counts: sp.csr_matrix, n_counts: np.ndarray) -> sp.csr_matrix:
    """`schema.normalise` block by block: its float64 copies of all values at once would pass the limit."""
    data = np.empty_like(counts.data)
    for at, block in blocks.row_blocks(counts, blocks.ROWS):
        data[counts.indptr[at.start] : counts.indptr[at.stop]] = normalise(block, n_counts[at]).data
    return sp.csr_matrix((data, counts.indices.copy(), counts.indptr.copy()), shape=counts.shape)
