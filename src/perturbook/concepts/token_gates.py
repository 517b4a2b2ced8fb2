"""How much each token matters to first order: a gate on every token as a key, 1 where it is there and 0 where it is not.

Attention weights become `g_t exp(score_t) / sum_s g_s exp(score_s)` in every layer. The derivative by a gate of 0 says what
adding the token would do, minus that by a gate of 1 what removing it would. A token whose gate is 0 reaches no other
token, so that its own row takes no part in the derivative. Source: `concepts.md` section 5.3, point 6.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from perturbook.models.scgpt import ScGPT
from perturbook.models.scgpt.layers import Layer


class _Gated(Function):
    """Attention of tokens to each other, where further keys have gates of 0; one matrix of weights is kept."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        other_key: Tensor,
        other_value: Tensor,
        gates: Tensor,
    ) -> Tensor:
        scale, length = query.shape[-1] ** -0.5, key.shape[-2]
        scores = query @ torch.cat([key, other_key], dim=-2).transpose(-2, -1) * scale
        weights = scores.sub_(scores[..., :length].logsumexp(-1, keepdim=True)).exp_()
        context = weights[..., :length] @ value
        ctx.save_for_backward(query, key, torch.cat([value, other_value], dim=-2), weights, context)
        ctx.scale = scale
        return context

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weights, context = ctx.saved_tensors
        by_gate = gradient @ value.transpose(-2, -1)
        by_gate.sub_((gradient * context).sum(-1, keepdim=True)).mul_(weights)
        of_gates = by_gate.flatten(0, -2).sum(0)
        if not ctx.needs_input_grad[0]:
            return None, None, None, None, None, of_gates
        length = key.shape[-2]
        by_score = by_gate[..., :length] * ctx.scale
        of_value = weights[..., :length].transpose(-2, -1) @ gradient
        return by_score @ key, by_score.transpose(-2, -1) @ query, of_value, None, None, of_gates


def gated_cell(model: ScGPT, tokens: Tensor, absent: Tensor, gates: Tensor) -> Tensor:
    """Row of `<cls>` behind the last layer, `(1, D)`, differentiable by the gates.

    Args:
        model: in evaluation mode.
        tokens: embedded tokens of the cell `(L, D)`, `<cls>` first; their gates are 1.
        absent: embedded tokens `(M, D)` that are not there; their gates are 0.
        gates: `(L + M,)`, to be differentiated by.
    """
    layers: list[Layer] = list(model.transformer_encoder.layers)
    x, other = tokens[None].detach(), absent[None].detach()
    for layer in layers:
        attention, last = layer.self_attn, layer is layers[-1]
        with torch.set_grad_enabled(x.requires_grad):  # nothing before the first gate is differentiated
            query, key, value = (attention.project_first if last else attention.project)(x)
        with torch.no_grad():
            other_query, other_key, other_value = attention.project(other)
            if not last:
                change = attention.out_proj(attention.attend(other_query, key, value, None))
                other = layer.feed_forward(layer.norm1(other + change))
        context = _Gated.apply(query, key, value, other_key, other_value, gates)
        change = attention.out_proj(context.transpose(1, 2).flatten(2))
        x = layer.feed_forward(layer.norm1((x[:, :1] if last else x) + change))
    return x[:, 0]
