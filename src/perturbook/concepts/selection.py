"""Which latents of a cell are kept: its K largest, the largest of a batch, or all above a threshold.

Source: `concepts.md` sections 2 and 3.5.
"""

import torch
from torch import Tensor

from perturbook.concepts.sparse_codes import Entries


def top_k(pre_activations: Tensor, k: int) -> tuple[Tensor, Entries]:
    """The `k` largest of each cell.

    Args:
        pre_activations: `(cells, n_latents)`.
        k: at most n_latents.

    Returns:
        Their values `(cells * k,)`, which may be negative, and where they stand.
    """
    n_cells, n_latents = pre_activations.shape
    values, latents = pre_activations.topk(k, dim=1, sorted=False)
    offsets = torch.arange(0, n_cells * k + 1, k)
    return values.reshape(-1), Entries(latents.reshape(-1), offsets, n_latents)


def batch_top_k(pre_activations: Tensor, k: int) -> tuple[Tensor, Entries]:
    """The `cells * k` largest positive ones of the whole batch; fewer where fewer are positive, more where the last ties."""
    flat = pre_activations.detach().reshape(-1)
    positive = flat[flat > 0]
    wanted = min(len(pre_activations) * k, len(positive))
    least = positive.kthvalue(len(positive) - wanted + 1).values if wanted else torch.inf
    return _where(pre_activations, pre_activations.detach() >= least)


def above(pre_activations: Tensor, threshold: Tensor) -> tuple[Tensor, Entries]:
    """All above `threshold`, a number of 0 or more: what a cell keeps does not depend on other cells."""
    return _where(pre_activations, pre_activations.detach() > threshold)


def _where(pre_activations: Tensor, kept: Tensor) -> tuple[Tensor, Entries]:
    cells, latents = kept.nonzero(as_tuple=True)
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), kept.sum(1).cumsum(0)])
    return pre_activations[cells, latents], Entries(latents, offsets, kept.shape[1])
