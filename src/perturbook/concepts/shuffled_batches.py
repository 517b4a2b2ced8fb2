"""Batches of scaled embeddings, every cell once in a pass, in an order that seed and pass decide alone."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from perturbook.concepts.embedding_rows import BLOCK, GROUP, EmbeddingRows
from perturbook.errors import ConfigError
from perturbook.models.training.batches import Made


class ShuffledBatches:
    """`(seed, epoch)` -> the batches of that pass over the rows, as `perturbook.models.training` asks for them.

    Batches are equal in size to within one cell, and hold at least `size` cells. What several runs ask for in turn, batch
    by batch, is read once. Source: our choice.

    Args:
        rows: what is read.
        size: least cells per batch.
        prepare: makes a batch of rows `(cells, d)`.

    Raises:
        ConfigError: there are fewer cells than a batch takes.
    """

    def __init__(
        self, rows: EmbeddingRows, size: int, prepare: Callable[[np.ndarray], Tensor] = torch.from_numpy
    ):
        if rows.n < size:
            raise ConfigError(f"There are {rows.n:,} cells for batches of {size:,}; take a smaller batch.")
        self.rows, self.prepare, self.per_pass = rows, prepare, rows.n // size
        self._last, self._held = None, None
        self._buffer = np.empty((min(rows.n, BLOCK * GROUP), rows.d), dtype=np.float32)

    def __call__(self, seed: int, epoch: int) -> Made:
        """Return the batches of `epoch`, `(cells, d)` each, made when asked for."""
        draw = np.random.default_rng([seed, epoch])
        blocks = draw.permutation(-(-self.rows.n // BLOCK))
        groups = [np.sort(blocks[at : at + GROUP]) for at in range(0, len(blocks), GROUP)]
        sizes = [sum(self._length(block) for block in group) for group in groups]
        orders = [draw.permutation(size) for size in sizes]
        starts = np.cumsum([0, *sizes])
        ends = [self.rows.n * number // self.per_pass for number in range(self.per_pass + 1)]

        def make(number: int) -> Tensor:
            if self._last is None or self._last[0] != (seed, epoch, number):
                pieces = []
                for group, order, start in zip(groups, orders, starts, strict=False):
                    inside = order[max(ends[number] - start, 0) : max(ends[number + 1] - start, 0)]
                    if len(inside):
                        pieces.append(self._read(group)[inside])
                self._last = (seed, epoch, number), self.prepare(np.concatenate(pieces))
            return self._last[1]

        return Made(range(self.per_pass), make)

    def _length(self, block: int) -> int:
        return min(BLOCK, self.rows.n - block * BLOCK)

    def _read(self, group: np.ndarray) -> np.ndarray:
        """Rows of a group of blocks; a view that the next reading overwrites."""
        if self._held != tuple(group):
            at, self._held = 0, None
            for block in group:
                end = at + self._length(block)
                self._buffer[at:end] = self.rows.read(slice(block * BLOCK, block * BLOCK + end - at))
                at = end
            self._held = tuple(group)
        return self._buffer
