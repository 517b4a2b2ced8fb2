"""scGPT on many copies of one cell that differ from it in one token: what they share is computed once.

In the first layer the other tokens enter unchanged, so their queries, keys and values are those of the cell, and their
attention moves by the weight of one key alone: with a and w the weights of the old and the new key relative to the
cell's normaliser, v and v' their values and o the cell's output, the new output is o + (w (v' - o) - a (v - o)) / (1 - a + w).
The last layer needs the row of `<cls>` alone, whose keys and values need not be made: its query is taken through
the projection of keys, and the average of tokens through that of values. Both are exact up to rounding. Source:
`concepts.md` section 5.3, points 4 and 5; the form is our choice, measured by `benchmarks/attribution.py`.
"""

import torch
from torch import Tensor

from perturbook.models.scgpt import ScGPT
from perturbook.models.scgpt.layers import BLOCK_TOKENS, Layer
from perturbook.models.scgpt.linear import linear

LEAST, MOST = 0.05, 1e6
"""Bounds of the new normaliser relative to the old one, 1 - a + w. Outside, where one token holds nearly all attention of
another, the difference would lose digits, and the cell goes through the whole model."""


class OneTokenChange:
    """A cell's tokens, and its first layer; makes the row of `<cls>` behind the last layer for changes of one token.

    Args:
        model: in evaluation mode, of two layers or more, whose cells are read off `<cls>`.
        gene_ids: `(L,)`, `<cls>` first.
        values: `(L,)`.
    """

    def __init__(self, model: ScGPT, gene_ids: Tensor, values: Tensor):
        self.model, self.gene_ids, self.values = model, gene_ids, values
        self.layers: list[Layer] = list(model.transformer_encoder.layers)
        attention = self.layers[0].self_attn
        tokens = model.embed_tokens(model.encoder(gene_ids[None]), values[None], None)
        self.query, self.key, self.value = (one[0] for one in attention.project(tokens))
        self.scale = self.query.shape[-1] ** -0.5
        scores = self.query @ self.key.transpose(1, 2) * self.scale
        self.normaliser = scores.logsumexp(-1, keepdim=True)
        self.weights = (scores - self.normaliser).exp()
        self.out = attention.out_proj.weight.unflatten(1, (attention.heads, -1))
        self.context = torch.einsum("hli,dhi->lhd", self.weights @ self.value, self.out)
        self.valued = torch.einsum("hli,dhi->lhd", self.value, self.out)
        self.sums = tokens[0] + self.context.sum(1) + attention.out_proj.bias

    def cells(self, at: Tensor, values: Tensor) -> Tensor:
        """`(n, D)` of value changes: the token at position `at` takes a value, both `(n,)`; `<cls>`, at 0, stays."""
        return self._in_blocks(self.gene_ids[at], values, at, at)

    def without(self, at: Tensor) -> Tensor:
        """`(n, D)` of the cell without the token at position `at`, `(n,)`."""
        return self._in_blocks(None, None, at, None)

    def beside(self, gene_ids: Tensor, values: Tensor) -> Tensor:
        """`(n, D)` of the cell with one token more, `(n,)` each."""
        return self._in_blocks(gene_ids, values, None, torch.full_like(gene_ids, len(self.gene_ids)))

    def _in_blocks(self, ids, values, gone: Tensor | None, place: Tensor | None) -> Tensor:
        number = len(gone if place is None else place)
        size = max(1, BLOCK_TOKENS // len(self.gene_ids))
        parts = [slice(start, start + size) for start in range(0, number, size)]
        made = [
            self._block(*(None if one is None else one[part] for one in (ids, values, gone, place)))
            for part in parts
        ]
        return torch.cat(made) if made else self.sums.new_zeros(0, self.sums.shape[1])

    def _block(self, ids, values, gone: Tensor | None, place: Tensor | None) -> Tensor:
        """Some changes of one kind: a token of the cell is gone, a fresh one stands at a place, or both."""
        number = len(gone if place is None else place)
        fresh = None
        if ids is not None:
            fresh = self.model.embed_tokens(self.model.encoder(ids[None]), values[None], None)
        sums, safe = self._first_attention(fresh, gone, number)
        rows = torch.arange(number)
        if place is None:  # tokens have no order: the last one takes the place of the one that is gone
            sums[rows, gone] = sums[:, -1].clone()
            sums = sums[:, :-1].contiguous()
        first = self.layers[0]
        tokens = first.feed_forward(first.norm1(sums))
        for layer in self.layers[1:-1]:
            tokens = layer(tokens)
        cells = cls_row(self.layers[-1], tokens)
        if not safe.all():
            cells[~safe] = self._whole(
                *(None if one is None else one[~safe] for one in (ids, values, gone, place))
            )
        return cells

    def _first_attention(
        self, fresh: Tensor | None, gone: Tensor | None, number: int
    ) -> tuple[Tensor, Tensor]:
        """Tokens plus attention, before the norm `(n, L', D)`, and which of them are exact `(n,)`.

        A fresh token without one that is gone stands last; with one, in its place.
        """
        coefficients, vectors, normaliser = [], [], 1.0
        if gone is not None:
            old = self.weights[:, :, gone]  # (heads, L, n)
            normaliser = normaliser - old
        if fresh is not None:
            query, key, value = (one[0] for one in self.layers[0].self_attn.project(fresh))
            new = (self.query @ key.transpose(1, 2) * self.scale - self.normaliser).exp()
            normaliser = normaliser + new
            coefficients.append(new / normaliser)
            vectors.append(torch.einsum("hni,dhi->nhd", value, self.out))
        if gone is not None:
            coefficients.append(-old / normaliser)
            vectors.append(self.valued[gone])
        total = sum(coefficients).permute(1, 2, 0)  # (L, n, heads)
        sums = torch.baddbmm(self.sums[:, None], total, self.context, alpha=-1).transpose(0, 1)
        both = torch.cat(coefficients).permute(2, 1, 0)  # (n, L, heads or twice as many)
        sums = torch.baddbmm(sums, both, torch.cat(vectors, dim=1))
        inside = (normaliser > LEAST) & (normaliser < MOST)
        if gone is not None:  # its own row is not read
            inside[:, gone, torch.arange(number)] = True
        safe = inside.all(0).all(0)
        if fresh is not None:
            own = self._own_row(fresh[0], query, key, value, gone)
            if gone is None:
                sums = torch.cat([sums, own[:, None]], dim=1)
            else:
                sums[torch.arange(number), gone] = own
        return sums, safe

    def _own_row(
        self, fresh: Tensor, query: Tensor, key: Tensor, value: Tensor, gone: Tensor | None
    ) -> Tensor:
        """Token plus attention of the fresh tokens themselves, `(n, D)`: over the cell and themselves."""
        scores = query @ self.key.transpose(1, 2) * self.scale
        if gone is not None:
            scores[:, torch.arange(len(gone)), gone] = -torch.inf
        itself = (query * key).sum(-1, keepdim=True) * self.scale
        weights = torch.cat([scores, itself], dim=-1).softmax(-1)
        context = weights[..., :-1] @ self.value + weights[..., -1:] * value
        return fresh + self.layers[0].self_attn.out_proj(context.transpose(0, 1).flatten(1))

    def _whole(self, ids, values, gone: Tensor | None, place: Tensor | None) -> Tensor:
        """The same by the whole model, `(n, D)`."""
        number, length = len(gone if place is None else place), len(self.gene_ids)
        all_ids, all_values = (one.repeat(number, 1) for one in (self.gene_ids, self.values))
        if place is None:
            kept = torch.ones(number, length, dtype=torch.bool).scatter_(1, gone[:, None], False)
            all_ids, all_values = (one[kept].view(number, length - 1) for one in (all_ids, all_values))
        elif gone is None:
            all_ids = torch.cat([all_ids, ids[:, None]], dim=1)
            all_values = torch.cat([all_values, values[:, None]], dim=1)
        else:
            all_values[torch.arange(number), place] = values
        return self.model.encode_cell(all_ids, all_values)


def cls_row(layer: Layer, tokens: Tensor) -> Tensor:
    """Position 0 behind a layer, `(cells, D)`, of all tokens `(cells, L, D)` before it; no key and no value is made."""
    attention, width = layer.self_attn, tokens.shape[-1]
    shape = (3, attention.heads, width // attention.heads)
    of_query, of_key, of_value = attention.in_proj_weight.unflatten(0, shape)
    query = linear(tokens[:, 0], of_query.flatten(0, 1), attention.in_proj_bias[:width])
    query = query.unflatten(1, shape[1:]) * shape[2] ** -0.5
    # the bias of keys adds the same to all scores of a query, which softmax takes away
    weights = (torch.einsum("chi,hid->chd", query, of_key) @ tokens.transpose(1, 2)).softmax(-1)
    context = torch.einsum("chd,hid->chi", weights @ tokens, of_value).flatten(1)
    change = attention.out_proj(context + attention.in_proj_bias[2 * width :])[:, None]
    return layer.feed_forward(layer.add(tokens[:, :1], change, layer.norm1))[:, 0]
