"""The loss of a Top-K autoencoder on one batch: squared error, and the auxiliary term that revives dead latents.

    L = mean |zt - zhat|^2 + weight min(n_dead / k_aux, 1) mean |stopgrad(e) - ehat|^2,    e = zt - zhat

`ehat` decodes, without any bias, the `min(k_aux, n_dead)` largest pre-activations of dead latents; `k_aux` is half of d.
Published implementations have left the residual attached, added the bias, taken k_aux from the number of latents, left
the term out of the total, and scaled it wrongly. Source: `concepts.md` sections 3.1, 3.4, 3.5 and 11.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from perturbook.concepts.selection import batch_top_k, top_k
from perturbook.concepts.sparse_codes import SparseCodes, decode_sparse, with_encoder_gradient
from perturbook.concepts.topk_sae import TopKSAE

AUX_WEIGHT = 1 / 32
THRESHOLD_SHARE = 0.01
"""Share of a batch in the moving threshold of BatchTopK, our choice."""


class _Tangent(Function):
    """Passes atoms of norm 1 on, and takes from their gradient what points along the atom, which could only stretch it."""

    @staticmethod
    def forward(ctx: Any, atoms: Tensor) -> Tensor:
        ctx.save_for_backward(atoms)
        return atoms.view_as(atoms)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (atoms,) = ctx.saved_tensors
        return torch.addcmul(gradient, atoms, (gradient * atoms).sum(1, keepdim=True), value=-1)


def loss_terms(
    sae: TopKSAE,
    scaled: Tensor,
    dead: Tensor | None = None,
    aux_weight: float = AUX_WEIGHT,
    room: Tensor | None = None,
) -> tuple[dict[str, Tensor], SparseCodes]:
    """Loss of one training batch, by term, and its codes.

    Args:
        sae: what is trained.
        scaled: inputs zt, `(cells, d_model)`, without a gradient.
        dead: latents that were not active in the cells before, `(n_latents,)` bool; None takes none as dead. The auxiliary
            term revives those of them that are not active in this batch either.
        aux_weight: of the auxiliary term.
        room: where pre-activations are written, `(cells or more, n_latents)`; new memory at every step costs time.

    Returns:
        `loss`, `squared error` and `auxiliary error`, which is exactly 0 where no latent is dead; and the codes.
    """
    atoms = _Tangent.apply(sae.atoms)
    codes = training_codes(sae, scaled, room)
    told = decode_sparse(codes, atoms) + sae.bias
    error = F.mse_loss(told, scaled, reduction="sum") / len(scaled)
    auxiliary, share = torch.zeros(()), 0.0
    if dead is not None and aux_weight:
        dead = (dead & (codes.active_cells() == 0)).nonzero()[:, 0]
        if len(dead):
            k_aux = auxiliary_k(sae.d_model)
            auxiliary = auxiliary_error(sae, scaled, scaled - told, dead, atoms, k_aux)
            share = min(len(dead) / k_aux, 1.0)
    total = error + aux_weight * share * auxiliary
    return {"loss": total, "squared error": error, "auxiliary error": auxiliary}, codes


def training_codes(sae: TopKSAE, scaled: Tensor, room: Tensor | None = None) -> SparseCodes:
    """Codes of a training batch `(cells, d_model)`: BatchTopK chooses over the batch and moves its threshold."""
    with torch.no_grad():
        centred = scaled - sae.bias
        out = None if room is None else room[: len(scaled)]
        before = torch.addmm(sae.encoder_bias, centred, sae.encoder.T, out=out)
        values, entries = (batch_top_k if sae.batch_topk else top_k)(before, sae.k)
        if sae.batch_topk and len(values):
            step = 1.0 if torch.isnan(sae.threshold) else THRESHOLD_SHARE
            sae.threshold.copy_(torch.lerp(sae.threshold.nan_to_num(), values.min(), step))
    weights = (sae.encoder, sae.encoder_bias, sae.bias)
    return SparseCodes(torch.relu(with_encoder_gradient(values, entries, centred, *weights)), entries)


def auxiliary_k(d_model: int) -> int:
    """How many dead latents of a cell try to explain its residual."""
    return max(1, d_model // 2)


def auxiliary_error(
    sae: TopKSAE, scaled: Tensor, residual: Tensor, dead: Tensor, atoms: Tensor, k_aux: int
) -> Tensor:
    """Mean squared error of the residual `(cells, d_model)` as told by the latents numbered `dead` `(n_dead,)`, a scalar."""
    before = F.linear(scaled - sae.bias, sae.encoder[dead], sae.encoder_bias[dead])
    if len(dead) > k_aux:
        kept = before.topk(k_aux, dim=1, sorted=False).indices
        before = torch.zeros_like(before).scatter(1, kept, before.gather(1, kept))
    told = torch.relu(before) @ atoms[dead]
    return (residual.detach() - told).square().sum(1).mean()
