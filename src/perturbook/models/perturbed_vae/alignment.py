"""What pulls the invariant latents of perturbed and control cells together: four ways, each of which can be switched off.

Source: `perturbedvae.md` sections 3, 5, 6 and 16.4.
"""

import torch
from torch import Tensor

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the Gaussian kernels of `independence`, in units of the median squared distance."""


def pair(zi: Tensor, partner: Tensor) -> Tensor:
    """Mean over cells of the squared distance to the partner, both `(cells, d_iota)`. Source: equation (4).

    With random partners it is the squared gap of the means plus both spreads: it shrinks the whole invariant latent, and
    not only what depends on the perturbation.
    """
    return (zi - partner).square().sum(dim=1).mean()


def centroid(zi: Tensor, partner: Tensor) -> Tensor:
    """Squared distance of the two means: the gap alone. Source: `perturbedvae.md` section 5."""
    return (zi.mean(dim=0) - partner.mean(dim=0)).square().sum()


def independence(zi: Tensor, environment: Tensor) -> Tensor:
    """Normalised HSIC between invariant latents `(cells, d_iota)` and the environment `(cells,)`, in [0, 1].

    `<Kc, Lc> / (|Kc| |Lc|)` with K the mean of Gaussian kernels, L one where two cells share the environment, both
    centred. Zero where all cells lie in one environment, or all latents are equal. Source: `perturbedvae.md` section 16.4.
    """
    gram = zi @ zi.T
    norms = gram.diagonal()
    distance = (norms[:, None] + norms[None, :] - 2 * gram).clamp(min=0)
    median = distance.detach()[~torch.eye(len(zi), dtype=torch.bool)].median().clamp(min=1e-12)
    kernel = torch.stack([torch.exp(-distance / (c * median)) for c in BANDWIDTHS]).mean(dim=0)
    same = (environment[:, None] == environment[None, :]).to(zi.dtype)
    kernel, same = _centred(kernel), _centred(same)
    norm = kernel.norm() * same.norm()
    return (kernel * same).sum() / norm.clamp(min=1e-12)


def _centred(kernel: Tensor) -> Tensor:
    return kernel - kernel.mean(dim=0, keepdim=True) - kernel.mean(dim=1, keepdim=True) + kernel.mean()
