"""What a trained PerturbedVAE says: latents of cells, what its prior says of each code, and what a latent does to genes."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from perturbook.models.perturbed_vae.batches import tensor
from perturbook.models.perturbed_vae.mechanism import Mechanism, sufficiency
from perturbook.models.perturbed_vae.model import Normal, PerturbedVAE, noise_kl, standard_kl


class Prior(NamedTuple):
    """The responsive latents under the prior, `zi ~ N(0, I)`, for each code; arrays of float64."""

    mean: np.ndarray
    """`E[zn | u] = A(u)^-1 mu(u)`, `(codes, d_nu)`."""
    spread: np.ndarray
    """Standard deviation of each latent, from `A^-1 (diag v + Lni Lni^T) A^-T`, `(codes, d_nu)`."""
    edges: np.ndarray
    """`Lnn(u)`, row i and column j the edge from j to i, `(codes, d_nu, d_nu)`."""


class Posterior(NamedTuple):
    """The latents of cells; arrays of float64."""

    zn: np.ndarray
    """Posterior means of the responsive latents `(cells, d_nu)`."""
    zi: np.ndarray
    """Posterior means of the invariant latents `(cells, d_iota)`."""
    variance: np.ndarray
    """Posterior variances of the responsive latents, that of `zi` carried through, `(cells, d_nu)`."""


@torch.no_grad()
def prior(model: PerturbedVAE, codes: np.ndarray) -> Prior:
    """What the prior says of codes `(codes, n_perts)`. Source: `perturbedvae.md` section 2, by algebra."""
    told = _mechanism(model, codes)
    mean = _solved(told, told.mu.unsqueeze(-1))[..., 0]
    variance = _variance(told, torch.ones_like(told.Lni[:, 0]), told.log_v.exp())
    return Prior(mean.numpy(), variance.sqrt().numpy(), told.Lnn.numpy())


@torch.no_grad()
def posterior(model: PerturbedVAE, x: np.ndarray, u: np.ndarray) -> Posterior:
    """Latents of cells.

    Args:
        model: trained.
        x: cells `(cells, genes)`.
        u: their codes `(cells, n_perts)`; zeros encode every cell as if it were control.
    """
    noise, zi = (Normal(*(part.double() for part in one)) for one in model.encode(tensor(x), tensor(u)))
    told = _mechanism(model, u)
    variance = _variance(told, zi.log_variance.exp(), noise.log_variance.exp())
    return Posterior(told.respond(noise.mean, zi.mean).numpy(), zi.mean.numpy(), variance.numpy())


def _solved(told: Mechanism, right: Tensor) -> Tensor:
    """`A(u)^-1 right`, of `(cells, d_nu, columns)`."""
    eye = torch.eye(told.Lnn.shape[-1], dtype=right.dtype)
    return torch.linalg.solve_triangular(eye - told.Lnn, right, upper=False, unitriangular=True)


def _variance(told: Mechanism, of_zi: Tensor, of_t: Tensor) -> Tensor:
    """Diagonal of `A^-1 (diag of_t + Lni diag of_zi Lni^T) A^-T`, `(cells, d_nu)`."""
    right = torch.cat([told.Lni * of_zi.sqrt().unsqueeze(1), torch.diag_embed(of_t.sqrt())], dim=-1)
    return _solved(told, right).square().sum(dim=-1)


@torch.no_grad()
def information(model: PerturbedVAE, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean KL of posterior from prior per latent, nats: responsive `(d_nu,)` and invariant `(d_iota,)`.

    What a latent holds of the single cell, beyond what its code tells. Arguments as of `posterior`.
    """
    noise, zi = model.encode(tensor(x), tensor(u))
    parts = noise_kl(noise, model.mechanisms(tensor(u))), standard_kl(zi)
    return tuple(part.mean(dim=0).double().numpy() for part in parts)


@torch.no_grad()
def responses(model: PerturbedVAE) -> np.ndarray:
    """Change of every gene when a responsive latent rises by one SD of control cells, `(d_nu, genes)`.

    At the prior mean of control. Source: `perturbedvae.md` section 12, `dec(zn + SD e_j) - dec(zn)`.
    """
    told = prior(model, np.zeros((1, model.n_perts)))
    size = model.config.d_nu
    moved = np.vstack([told.mean, told.mean + np.diag(told.spread[0])])
    decoded = model.decode(tensor(moved), torch.zeros(size + 1, model.config.d_iota))
    means = model.likelihood.mean(decoded).double().numpy()
    return means[1:] - means[0]


@torch.no_grad()
def singular_values(model: PerturbedVAE) -> np.ndarray:
    """Singular values of the matrix of assumption (ii) over all codes of one gene, descending, `(min(2 d_nu, n_perts),)`."""
    told = (_mechanism(model, codes) for codes in (np.eye(model.n_perts), np.zeros((1, model.n_perts))))
    return torch.linalg.svdvals(sufficiency(*told)).numpy()


def _mechanism(model: PerturbedVAE, codes: np.ndarray) -> Mechanism:
    parts: list[Tensor] = [part.double() for part in model.mechanisms(tensor(codes))]
    return Mechanism(*parts)
