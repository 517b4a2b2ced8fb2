"""An embedding matrix read in blocks: an array in memory, a memory map or a zarr array; a million cells fit in little.

The cells of a pass come in a new order: the blocks of 1,024 rows that lie together are drawn at random, 64 of them at a
time are read, and their rows are mixed. What is read how never changes that order. Source: our choice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from perturbook.errors import ConfigError, InputError, ShapeError

BLOCK = 1024
"""Rows that are read together."""
GROUP = 64
"""Blocks whose rows are mixed, and held in memory, together."""


class EmbeddingRows:
    """Chosen rows of a matrix `(all cells, d)`.

    Args:
        matrix: numpy array, memory map, zarr array or another array on disk; any real numbers.
        cells: row numbers, or a mask over all rows; None takes all.

    Raises:
        InputError: the matrix is no array of numbers, or has no row or column.
        ShapeError: it has not two axes, or the mask another length.
        ConfigError: a row number is given twice or is out of range, or no row is chosen.
    """

    def __init__(self, matrix: Any, cells: Any = None):
        kind = (
            getattr(np.asarray(matrix[:1]), "dtype", None)
            if _is_array(matrix) and len(matrix.shape)
            else None
        )
        if kind is None or kind.kind not in "fiu":
            raise InputError(
                f"The embeddings are a {type(matrix).__name__}; give an array of numbers (cells, d), such as "
                "cells.obsm['X_scGPT'], numpy.load(path, mmap_mode='r') or zarr.open_array(path, mode='r')."
            )
        if len(matrix.shape) != 2:
            raise ShapeError(f"The embeddings have the shape {tuple(matrix.shape)}; expected (cells, d).")
        if 0 in matrix.shape:
            raise InputError(
                f"The embeddings have the shape {tuple(matrix.shape)}; there is nothing to read."
            )
        self.matrix, self.d = matrix, int(matrix.shape[1])
        self.cells = _row_numbers(cells, int(matrix.shape[0]))
        self.n = len(self.cells)

    def read(self, positions: slice) -> np.ndarray:
        """Consecutive ones of the chosen rows, `(rows, d)` float32.

        Raises:
            InputError: a value is not finite.
        """
        rows = self.cells[positions]
        together = len(rows) and rows[-1] - rows[0] + 1 == len(rows)
        if together or not hasattr(self.matrix, "oindex"):
            found = self.matrix[slice(int(rows[0]), int(rows[-1]) + 1) if together else rows]
        else:
            found = self.matrix.oindex[rows]
        found = np.asarray(found, dtype=np.float32)
        if not (finite := np.isfinite(found).all(axis=1)).all():
            raise InputError(
                f"Row {rows[np.argmin(finite)]} of the embeddings holds a value that is not finite in float32; leave such "
                "cells out (cells=...)."
            )
        return found

    def blocks(self, rows: int = BLOCK) -> Iterator[np.ndarray]:
        """All chosen rows in order, in blocks `(at most rows, d)` float32."""
        for at in range(0, self.n, rows):
            yield self.read(slice(at, min(at + rows, self.n)))


@dataclass(frozen=True)
class Moments:
    """Mean and spread of embeddings."""

    mean: np.ndarray
    """`(d,)`."""
    variance: np.ndarray
    """Per dimension, `(d,)`."""

    @property
    def gamma(self) -> float:
        """Norm of the mean over norm of the standard deviations; a large one predicts dead latents. Source: `concepts.md` 3.3."""
        return float(np.linalg.norm(self.mean) / np.sqrt(self.variance.sum()))

    def scaling(self, centre: bool) -> tuple[np.ndarray, float]:
        """`mu` `(d,)` and `s`, by which the mean squared norm becomes 1; `mu` is 0 where not centred."""
        square = self.variance.sum() + (0.0 if centre else (self.mean**2).sum())
        return (self.mean if centre else np.zeros_like(self.mean)), float(np.sqrt(square))


def moments(rows: EmbeddingRows) -> Moments:
    """Moments of the chosen rows, from one reading, float64.

    Raises:
        InputError: the cells all have one embedding, as far as float32 can tell; or a value is not finite.
    """
    n, mean, spread = 0, np.zeros(rows.d), np.zeros(rows.d)
    for block in rows.blocks():
        block = block.astype(np.float64)
        of_block, m = block.mean(axis=0), len(block)
        apart = of_block - mean
        spread += ((block - of_block) ** 2).sum(axis=0) + apart**2 * n * m / (n + m)
        mean, n = mean + apart * m / (n + m), n + m
    found = Moments(mean, spread / n)
    if found.variance.sum() <= (np.finfo(np.float32).eps ** 2) * (mean**2).sum():
        raise InputError(
            f"All {n:,} cells have the same embedding; there is nothing to learn. Look at what made it."
        )
    return found


def _is_array(matrix: Any) -> bool:
    return hasattr(matrix, "shape") and hasattr(matrix, "dtype") and not sp.issparse(matrix)


def _row_numbers(cells: Any, n: int) -> np.ndarray:
    if cells is None:
        return np.arange(n)
    cells = np.asarray(cells)
    if cells.dtype == bool:
        if cells.shape != (n,):
            raise ShapeError(f"cells is a mask of the shape {cells.shape}, for {n:,} rows of embeddings.")
        cells = np.flatnonzero(cells)
    whole = cells.ndim == 1 and cells.dtype.kind in "iu"
    if not whole or not len(cells) or cells.min() < 0 or cells.max() >= n:
        raise ConfigError(
            f"cells must be row numbers from 0 to {n - 1:,}, at least one, or a mask over all rows."
        )
    found = np.unique(cells)
    if len(found) < len(cells):
        raise ConfigError(
            f"{len(cells) - len(found):,} of the {len(cells):,} row numbers in cells stand twice."
        )
    return found
