"""Reference mode: random numbers from passed generators in upstream's order, for tests against its outputs and the page on
what its randomness does. Nothing else uses it: a cell's result depends on the cells before it.

Order: bin draws cell by cell, one per non-zero value in column order; then subsampling, cell by cell; masking last.
Source: `scgpt.md` sections 5 and 6.
"""

from collections.abc import Sequence

import numpy as np
import torch

from perturbook.models.scgpt.binning import N_BINS, bin_values
from perturbook.models.scgpt.tokens import MASK_VALUE, PAD_VALUE

Ragged = list[tuple[np.ndarray, np.ndarray]]
"""Per cell, ids and values."""


def bins_in_order(rows: np.ndarray, legacy: np.random.RandomState, n_bins: int = N_BINS) -> np.ndarray:
    """Bins of all cells, `(cells, genes)` int64; a cell without non-zero values draws nothing."""
    return np.stack([bin_values(row, legacy.rand(np.count_nonzero(row)), n_bins) for row in rows])


def tokens_in_order(
    rows: np.ndarray, ids: np.ndarray, cls: tuple[int, float] | None, zeros: bool = False
) -> Ragged:
    """Ids and values per cell, genes in column order, all or the non-zero ones, behind `cls` (id, value) where given."""
    cells = []
    for row in rows:
        at = np.arange(len(row)) if zeros else np.flatnonzero(row)
        genes, values = ids[at], row[at].astype(np.float32)
        if cls is not None:
            genes, values = np.insert(genes, 0, cls[0]), np.insert(values, 0, np.float32(cls[1]))
        cells.append((genes, values))
    return cells


def choose_in_order(cells: Ragged, max_length: int, legacy: np.random.RandomState, has_cls: bool) -> Ragged:
    """The tokeniser's subsampling: `choice` without replacement, in the order drawn, `<cls>` kept in front."""
    kept = []
    for ids, values in cells:
        if len(ids) > max_length:
            at = legacy.choice(len(ids) - has_cls, max_length - has_cls, replace=False) + has_cls
            at = np.insert(at, 0, 0) if has_cls else at
            ids, values = ids[at], values[at]
        kept.append((ids, values))
    return kept


def mask_in_order(
    values: np.ndarray,
    ratio: float,
    legacy: np.random.RandomState,
    mask_value: float = MASK_VALUE,
    pad_value: float = PAD_VALUE,
) -> np.ndarray:
    """The tokeniser's masking of `(cells, L)`: int(n * ratio) of all n values that are not padding, so that a `<cls>`
    whose value is 0 can be masked too."""
    masked = values.copy()
    for row in masked:
        at = np.flatnonzero(row != pad_value)
        row[legacy.choice(at, int(len(at) * ratio), replace=False)] = mask_value
    return masked


def collate_in_order(
    cells: Ragged,
    legacy: np.random.RandomState,
    generator: torch.Generator,
    max_length: int,
    sample: bool = True,
    n_bins: int = N_BINS,
) -> Ragged:
    """The collator's cells: binned behind the first token, then the longer ones permuted and cut, or cut at the head."""
    kept = []
    for ids, values in cells:
        binned = values.astype(np.float32)
        binned[1:] = bin_values(values[1:], legacy.rand(np.count_nonzero(values[1:])), n_bins)
        if len(ids) > max_length:
            order = (
                torch.randperm(len(ids) - 1, generator=generator) if sample else torch.arange(len(ids) - 1)
            )
            at = np.insert(order[: max_length - 1].numpy() + 1, 0, 0)
            ids, binned = ids[at], binned[at]
        kept.append((ids, binned))
    return kept


def bernoulli_in_order(
    values: torch.Tensor,
    padding: torch.Tensor,
    ratio: float | Sequence[float],
    generator: torch.Generator,
    mask_value: float = MASK_VALUE,
) -> torch.Tensor:
    """The collator's masking of `(cells, L)`: one Bernoulli matrix of the batch, never padding or position 0."""
    chance = torch.full(values.shape, ratio).masked_fill(padding, 0)
    chance[:, 0] = 0
    return values.masked_fill(torch.bernoulli(chance, generator=generator).bool(), mask_value)
