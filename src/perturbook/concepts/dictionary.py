"""The interface of every dictionary of concepts: codes of cells, atoms, and what the codes give back.

An input `z` is scaled, `zt = (z - mu) / s`, before anything else, and what is decoded is scaled back. Source:
`concepts.md` section 2.
"""

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perturbook.concepts.selection import top_k
from perturbook.concepts.sparse_codes import Entries, SparseCodes, decode_sparse
from perturbook.errors import ConfigError, InputError, ShapeError


@dataclass(frozen=True)
class Coded:
    """What a dictionary makes of some cells."""

    reconstruction: Tensor
    """`(cells, d_model)`, in the units of the input."""
    pre_activations: Tensor
    """`(cells, n_latents)`."""
    sparse: SparseCodes
    """The codes, of latents that are kept alone."""

    @cached_property
    def codes(self) -> Tensor:
        """The codes, `(cells, n_latents)`; a concept is active in a cell where its code is above 0."""
        return self.sparse.dense()


class Dictionary(nn.Module):
    """Concepts as directions: how active each is in a cell, and what it adds to the reconstruction.

    A subclass sets the tensors below; what it keeps of the pre-activations it may decide in `select`.

    Args:
        d_model: numbers per cell.
        n_latents: concepts.
        k: concepts kept per cell; None keeps every positive one.

    Raises:
        ConfigError: a size is below 1, or k above n_latents.
    """

    encoder: Tensor
    """`(n_latents, d_model)`."""
    encoder_bias: Tensor
    """`(n_latents,)`."""
    atoms: Tensor
    """What each concept adds, `(n_latents, d_model)`."""
    bias: Tensor
    """Of the decoder, `(d_model,)`."""
    facts: dict
    """What its fitting says of itself, such as whether it converged; plain values."""

    def __init__(self, d_model: int, n_latents: int, k: int | None = None):
        super().__init__()
        _whole("d_model", d_model)
        _whole("n_latents", n_latents)
        self._check_k(k, n_latents)
        self.d_model, self.n_latents, self.k = int(d_model), int(n_latents), None if k is None else int(k)
        self.register_buffer("mu", torch.zeros(self.d_model))
        self.register_buffer("s", torch.ones(()))
        self.facts: dict = {}

    def keeping(self, k: int | None) -> Self:
        """The same dictionary, of the same tensors, that keeps the `k` largest concepts of a cell; None keeps every positive one.

        Raises:
            ConfigError: k is below 1 or above n_latents.
        """
        self._check_k(k, self.n_latents)
        other = copy(self)
        other.k = None if k is None else int(k)
        return other

    def pre_activations(self, x: Tensor | np.ndarray) -> Tensor:
        """How far each concept is from being active, `(cells, n_latents)`, of cells `(cells, d_model)`.

        Raises:
            ShapeError: not two axes, or another width.
            InputError: a value is not a finite number.
        """
        return self.pre_activations_of_scaled((self._checked(x) - self.mu) / self.s)

    def encode(self, x: Tensor | np.ndarray) -> Tensor:
        """Codes `(cells, n_latents)` of cells `(cells, d_model)`, none negative; raises as `pre_activations` does."""
        return self.active(self.pre_activations(x)).dense()

    def decode(self, codes: Tensor | np.ndarray) -> Tensor:
        """Reconstructions `(cells, d_model)` of codes `(cells, n_latents)`, in the units of the input.

        Raises:
            ShapeError: not two axes, or another number of latents.
        """
        codes = _tensor(codes).to(self.mu.dtype)
        if codes.ndim != 2 or codes.shape[1] != self.n_latents:
            raise ShapeError(
                f"codes have the shape {tuple(codes.shape)}; expected (cells, {self.n_latents})."
            )
        return (codes @ self.atoms + self.bias) * self.s + self.mu

    def forward(self, x: Tensor | np.ndarray) -> Coded:
        """Codes and reconstruction of cells `(cells, d_model)`; raises as `pre_activations` does."""
        before = self.pre_activations(x)
        sparse = self.active(before)
        return Coded((decode_sparse(sparse, self.atoms) + self.bias) * self.s + self.mu, before, sparse)

    def pre_activations_of_scaled(self, scaled: Tensor) -> Tensor:
        """Of inputs that are scaled already, `(cells, n_latents)`."""
        return F.linear(scaled - self.bias, self.encoder, self.encoder_bias)

    def select(self, before: Tensor) -> tuple[Tensor, Entries]:
        """Which pre-activations `(cells, n_latents)` are kept of each cell, whatever other cells stand beside it."""
        return top_k(before, self.k or self.n_latents)

    def active(self, before: Tensor) -> SparseCodes:
        """Codes of pre-activations `(cells, n_latents)`: the ReLU of those that are kept."""
        values, entries = self.select(before)
        return SparseCodes(torch.relu(values), entries)

    @staticmethod
    def _check_k(k: int | None, n_latents: int) -> None:
        if k is None:
            return
        _whole("k", k)
        if k > n_latents:
            raise ConfigError(f"k is {k}, of {n_latents} latents; at most all of them can be active.")

    def _checked(self, x: Any) -> Tensor:
        x = _tensor(x)
        if x.ndim != 2 or x.shape[1] != self.d_model:
            raise ShapeError(f"cells have the shape {tuple(x.shape)}; expected (cells, {self.d_model}).")
        x = x.to(self.mu.dtype)
        if not (finite := torch.isfinite(x).all(1)).all():
            row = int((~finite).nonzero()[0])
            raise InputError(
                f"Row {row} of the cells holds a value that is not finite; leave such cells out."
            )
        return x


def _whole(name: str, size: Any) -> None:
    if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
        raise ConfigError(f"{name} is {size!r}; give a whole number from 1.")


def _tensor(values: Any) -> Tensor:
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"A {type(values).__name__} is no table of numbers; give an array.") from error
