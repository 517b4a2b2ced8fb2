"""Codes of which only the active latents are held, and the products of a Top-K autoencoder that touch nothing else.

Of 4,096 latents 32 are active in a cell, so that decoding, and the gradients of atoms and encoder rows, need 32 rows
per cell where a dense product takes all. Each is a sum of weighted rows, over the latents of a cell or over the cells of
a latent, in a fixed order whatever the number of threads. Source: `floors-and-peers.md` section 2; the form is our choice.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F


class ByLatent(NamedTuple):
    """The same entries latent by latent: `order[offsets[j]:offsets[j + 1]]` are those of latent j, cells ascending."""

    order: Tensor
    cells: Tensor
    offsets: Tensor


@dataclass(frozen=True)
class Entries:
    """Which latents are held of which cells: entries `offsets[i]:offsets[i + 1]` are those of cell i (CSR)."""

    latents: Tensor
    """Which latent each entry is of, `(entries,)` int64."""
    offsets: Tensor
    """`(cells + 1,)` int64."""
    n_latents: int

    @cached_property
    def cells(self) -> Tensor:
        """Which cell each entry is of, `(entries,)`."""
        return torch.repeat_interleave(torch.arange(len(self.offsets) - 1), self.offsets.diff())

    @cached_property
    def by_latent(self) -> ByLatent:
        """The entries in the order of latents."""
        numbers = np.arange(len(self.latents), dtype=np.int32)
        table = (numbers, self.latents.numpy(), self.offsets.numpy())
        turned = sp.csr_matrix(table, shape=(len(self.offsets) - 1, self.n_latents)).tocsc()
        return ByLatent(
            *(torch.from_numpy(one).long() for one in (turned.data, turned.indices, turned.indptr))
        )


@dataclass(frozen=True)
class SparseCodes:
    """Codes of some cells. Entries may be zero, where a cell has fewer positive pre-activations than K; such are not active."""

    values: Tensor
    """`(entries,)`, none negative."""
    entries: Entries

    def dense(self) -> Tensor:
        """All codes, `(cells, n_latents)`."""
        every = self.values.new_zeros(len(self.entries.offsets) - 1, self.entries.n_latents)
        return every.index_put((self.entries.cells, self.entries.latents), self.values)

    def active_cells(self) -> Tensor:
        """In how many of these cells each latent is active, `(n_latents,)` int64."""
        active = self.entries.latents.numpy()[self.values.detach().numpy() > 0]
        return torch.from_numpy(np.bincount(active, minlength=self.entries.n_latents))


def weighted_rows(table: Tensor, rows: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
    """Sums of `table[rows] * weights` between offsets, `(len(offsets) - 1, width)`."""
    return F.embedding_bag(
        rows, table, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


class _WithAtomGradient(Function):
    """Passes decoded sums on, and gives each atom its gradient: a sum over the cells that hold its latent."""

    @staticmethod
    def forward(ctx: Any, decoded: Tensor, atoms: Tensor, codes: SparseCodes) -> Tensor:
        ctx.codes = codes
        return decoded.view_as(decoded)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        order, cells, offsets = ctx.codes.entries.by_latent
        weights = ctx.codes.values.detach()[order]
        return gradient, weighted_rows(gradient.contiguous(), cells, offsets, weights), None


def decode_sparse(codes: SparseCodes, atoms: Tensor) -> Tensor:
    """Codes times atoms `(n_latents, d)` -> `(cells, d)`, with gradients for values and atoms."""
    entries = codes.entries
    decoded = weighted_rows(atoms.detach(), entries.latents, entries.offsets, codes.values)
    return _WithAtomGradient.apply(decoded, atoms, codes)


class _WithEncoderGradient(Function):
    """Passes pre-activations on, and gives what made them its gradient, of the cells that hold a latent alone."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, entries: Entries, centred: Tensor, *weights: Tensor) -> Tensor:
        ctx.entries = entries
        ctx.save_for_backward(centred, weights[0])
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        centred, encoder = ctx.saved_tensors
        order, cells, offsets = ctx.entries.by_latent
        of_encoder = weighted_rows(centred, cells, offsets, gradient[order])
        of_bias = gradient.new_zeros(len(encoder)).index_add_(0, ctx.entries.latents, gradient)
        return None, None, None, of_encoder, of_bias, -(of_bias @ encoder)


def with_encoder_gradient(
    values: Tensor, entries: Entries, centred: Tensor, encoder: Tensor, bias: Tensor, decoder_bias: Tensor
) -> Tensor:
    """The pre-activations `values` `(entries,)`, computed before without a gradient, with one.

    They are `centred @ encoder.T + bias` at the entries, where `centred` `(cells, d)` is the input less `decoder_bias`
    and has no gradient of its own. `encoder` is `(n_latents, d)`, `bias` `(n_latents,)`, `decoder_bias` `(d,)`.
    """
    return _WithEncoderGradient.apply(values, entries, centred, encoder, bias, decoder_bias)
