"""The transformer: post-norm layers with ReLU on scaled dot-product attention, with places for adapters.

Source: `scgpt.md` section 3, step 4. The packed projection holds rows [q; k; v]; head h owns rows
h D/H to (h + 1) D/H of each block.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perturbook.errors import ConfigError, ShapeError
from perturbook.models.scgpt.blank import LayerNorm, Linear, parameter
from perturbook.models.scgpt.linear import linear

Hook = Callable[[Tensor], Tensor]
BLOCK_TOKENS = 4096
"""Tokens that go through all layers together on a CPU without gradients: their activations stay in its cache."""


class Hooks(NamedTuple):
    """What an adapter puts behind the two sublayers of one layer: `(cells, L, D)` in, the same shape out."""

    attention: Hook | None = None
    """Takes the output of attention and its projection, before the residual sum."""
    feed_forward: Hook | None = None
    """Takes the output of the feed-forward block, before the residual sum."""
    after_attention: Hook | None = None
    """Takes the tokens after the residual sum and norm behind attention."""
    after_feed_forward: Hook | None = None
    """Takes the tokens after the residual sum and norm behind the feed-forward block: the output of the layer."""


NO_HOOKS = Hooks()


class SelfAttention(nn.Module):
    """Multi-head attention with one packed projection; torch's parameter names."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = parameter(3 * width, width)
        self.in_proj_bias = parameter(3 * width)
        self.out_proj = Linear(width, width)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of tokens `(cells, L, D)`, each `(cells, heads, L, D / heads)`."""
        packed = linear(x, self.in_proj_weight, self.in_proj_bias)
        packed = packed.unflatten(-1, (3, self.heads, -1))
        query, key, value = packed.unbind(2)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)

    def project_first(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Like `project`, with the query of position 0 alone: `(cells, heads, 1, D / heads)`."""
        width = x.shape[-1]
        weight, bias = self.in_proj_weight, self.in_proj_bias
        query = linear(x[:, :1], weight[:width], bias[:width]).unflatten(-1, (self.heads, -1))
        packed = linear(x, weight[width:], bias[width:]).unflatten(-1, (2, self.heads, -1))
        key, value = packed.unbind(2)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, take: Tensor | None) -> Tensor:
        """Context `(cells, queries, D)`, before the output projection; `take` is True where a key takes part."""
        dropout = self.dropout if self.training else 0.0
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=take, dropout_p=dropout)
        return context.transpose(1, 2).flatten(2)

    def forward(self, x: Tensor, take: Tensor | None = None, first: bool = False) -> Tensor:
        """Attention output `(cells, L, D)`, or of position 0 alone `(cells, 1, D)`; `take` is `(cells, 1, 1, L)`."""
        project = self.project_first if first else self.project
        return self.out_proj(self.attend(*project(x), take))


class Layer(nn.Module):
    """`x = LN1(x + drop(attention(x)))`, then `x = LN2(x + drop(W2 drop(relu(W1 x))))`."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, attention_dropout: float = 0.0):
        super().__init__()
        self.self_attn = SelfAttention(width, heads, attention_dropout)
        self.linear1, self.linear2 = Linear(width, hidden), Linear(hidden, width)
        self.norm1, self.norm2 = LayerNorm(width), LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def add(
        self,
        x: Tensor,
        change: Tensor,
        norm: nn.LayerNorm,
        hook: Hook | None = None,
        after: Hook | None = None,
    ) -> Tensor:
        """`after(norm(x + drop(hook(change))))`; sums in place where no gradient needs the terms."""
        change = self.dropout(_hooked(hook, change))
        own = hook is None and not torch.is_grad_enabled() and change.dtype == x.dtype
        return _hooked(after, norm(change.add_(x) if own else x + change))

    def feed_forward(self, x: Tensor, hooks: Hooks = NO_HOOKS) -> Tensor:
        """The second sublayer on tokens `(cells, L, D)`, with its residual sum and norm."""
        hidden = self.dropout(F.relu(self.linear1(x), inplace=True))
        return self.add(x, self.linear2(hidden), self.norm2, hooks.feed_forward, hooks.after_feed_forward)

    def forward(
        self, x: Tensor, take: Tensor | None = None, hooks: Hooks = NO_HOOKS, first: bool = False
    ) -> Tensor:
        """Tokens `(cells, L, D)` after the layer; with `first`, only position 0 of them, `(cells, 1, D)`."""
        change = self.self_attn(x, take, first)
        x = x[:, :1] if first else x
        return self.feed_forward(
            self.add(x, change, self.norm1, hooks.attention, hooks.after_attention), hooks
        )


def _hooked(hook: Hook | None, x: Tensor) -> Tensor:
    """`hook(x)`, `x` where there is none; raises ShapeError where the hook changes the shape."""
    if hook is None:
        return x
    shape = x.shape
    made = hook(x)
    if made.shape != shape:
        raise ShapeError(f"an adapter made {tuple(made.shape)} of {tuple(shape)}; it must keep the shape.")
    return made


class Layers(nn.Module):
    """The stack of layers; there is no norm behind the last one."""

    def __init__(self, number: int, *sizes, **options):
        super().__init__()
        self.layers = nn.ModuleList(Layer(*sizes, **options) for _ in range(number))

    def check_adapters(self, adapters: Mapping[int, Hooks]) -> None:
        """Raise ConfigError where `adapters` names a layer that does not exist."""
        if unknown := [i for i in adapters if i not in range(len(self.layers))]:
            raise ConfigError(f"adapters name layer {unknown[0]!r}; there are 0 to {len(self.layers) - 1}.")

    def forward(
        self,
        x: Tensor,
        padding: Tensor | None = None,
        adapters: Mapping[int, Hooks] | None = None,
        every: bool = False,
        first: bool = False,
    ) -> Tensor:
        """Tokens `(cells, L, D)` after all layers.

        Args:
            x: embedded tokens `(cells, L, D)`.
            padding: True where a token is padding, `(cells, L)`; None where nothing is.
            adapters: hooks by layer number, from 0.
            every: return the tokens after each layer, `(layers, cells, L, D)`.
            first: compute only position 0 in the last layer and return it, `(cells, 1, D)`.
        """
        adapters = adapters or {}
        if every and first:
            raise ConfigError(
                "position 0 alone of the last layer and all tokens of every layer exclude each other."
            )
        self.check_adapters(adapters)
        if torch.is_grad_enabled() or adapters or x.device.type != "cpu":
            return self._run(x, padding, adapters, every, first)
        blocks = -(-x.shape[0] // max(1, BLOCK_TOKENS // x.shape[1])) or 1
        paddings = [None] * blocks if padding is None else padding.tensor_split(blocks)
        parts = zip(x.tensor_split(blocks), paddings, strict=True)
        made = [self._block(part, one, every, first) for part, one in parts]
        return made[0] if blocks == 1 else torch.cat(made, dim=1 if every else 0)

    def _block(self, x: Tensor, padding: Tensor | None, every: bool, first: bool) -> Tensor:
        """A few cells, cut to the longest of them; what is cut off comes back as zeros."""
        if padding is None or not len(x):
            return self._run(x, None, {}, every, first)
        longest = int((~padding).any(dim=0).nonzero()[-1]) + 1
        padded = padding[:, :longest]
        made = self._run(x[:, :longest], padded if bool(padded.any()) else None, {}, every, first)
        return made if first else F.pad(made, (0, 0, 0, x.shape[1] - longest))

    def _run(
        self, x: Tensor, padding: Tensor | None, adapters: Mapping[int, Hooks], every: bool, first: bool
    ) -> Tensor:
        take = None if padding is None else ~padding[:, None, None, :]
        kept, last = [], len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            x = layer(x, take, adapters.get(i, NO_HOOKS), first and i == last)
            if every:
                kept.append(x)
        return torch.stack(kept) if every else x
