"""The latent causal model: from the code of a perturbation to the mechanisms of the responsive latents, and through them.

Symbols as in `perturbedvae.md` sections 1 and 2: `zi` invariant, `zn` responsive, `t` the response noise without its mean.

    zn = Lni(u) zi + Lnn(u) zn + mu(u) + t ,   t ~ N(0, diag v(u))
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from perturbook.models.perturbed_vae.config import Config

PRIOR_LOG_VARIANCE = (-6.0, 6.0)
"""Least and most of log v(u). Source: our choice."""
MLP_WIDTH = 64
"""Hidden units of a code network that is not linear. Source: our choice."""
FIRST_WEIGHTS = 0.01
"""Standard deviation of the first weights of a code network. Source: our choice."""


class Mechanism(NamedTuple):
    """What a code does to the responsive latents of a cell."""

    Lnn: Tensor
    """Edges among responsive latents, strictly lower triangular, `(cells, d_nu, d_nu)`."""
    Lni: Tensor
    """Edges from invariant to responsive latents, `(cells, d_nu, d_iota)`."""
    mu: Tensor
    """Mean of the response noise, `(cells, d_nu)`."""
    log_v: Tensor
    """Log variance of the response noise, `(cells, d_nu)`."""

    def respond(self, t: Tensor, zi: Tensor) -> Tensor:
        """Responsive latents `(cells, d_nu)` of noise `t` `(cells, d_nu)` and invariant latents `(cells, d_iota)`.

        Solves the unit lower triangular system `(I - Lnn) zn = t + Lni zi + mu`. Source: step 6 of Algorithm 1.
        """
        right = (t + self.mu + torch.einsum("bni,bi->bn", self.Lni, zi)).unsqueeze(-1)
        eye = torch.eye(self.Lnn.shape[-1], dtype=t.dtype, device=t.device)
        return torch.linalg.solve_triangular(eye - self.Lnn, right, upper=False, unitriangular=True).squeeze(
            -1
        )


class Mechanisms(nn.Module):
    """The four code networks."""

    def __init__(self, n_perts: int, config: Config):
        super().__init__()
        self.d_nu, self.d_iota = config.d_nu, config.d_iota
        below = torch.tril_indices(self.d_nu, self.d_nu, offset=-1)
        self.register_buffer("below", below, persistent=False)
        self.f_nn = code_network(n_perts, below.shape[1], config.f)
        self.f_ni = code_network(n_perts, self.d_nu * self.d_iota, config.f)
        self.f_mu = code_network(n_perts, self.d_nu, config.f)
        self.f_v = code_network(n_perts, self.d_nu, config.f) if config.learn_beta_nu else None

    def forward(self, u: Tensor) -> Mechanism:
        """Mechanism of each code `(cells, n_perts)`."""
        cells = len(u)
        Lnn = u.new_zeros(cells, self.d_nu, self.d_nu)
        Lnn[:, self.below[0], self.below[1]] = self.f_nn(u)
        mu = self.f_mu(u)
        log_v = self.f_v(u).clamp(*PRIOR_LOG_VARIANCE) if self.f_v is not None else torch.zeros_like(mu)
        return Mechanism(Lnn, self.f_ni(u).view(cells, self.d_nu, self.d_iota), mu, log_v)


def code_network(n_in: int, n_out: int, kind: str) -> nn.Module:
    """From a code to coefficients; near zero at the start, so that all perturbations begin alike. Source: our choice."""
    layers = [nn.Linear(n_in, n_out)] if kind == "linear" else []
    if kind == "mlp":
        layers = [nn.Linear(n_in, MLP_WIDTH), nn.LeakyReLU(0.2), nn.Linear(MLP_WIDTH, n_out)]
    nn.init.normal_(layers[-1].weight, std=FIRST_WEIGHTS)
    nn.init.zeros_(layers[-1].bias)
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


def sufficiency(codes: Mechanism, control: Mechanism) -> Tensor:
    """Matrix of assumption (ii), `(2 d_nu, codes)`: natural parameters of the response noise minus those of control.

    `eta(u) = (mu(u) / v(u), -1 / (2 v(u)))`. Source: Theorem 1, as `perturbedvae.md` section 7 reports it.
    """

    def eta(one: Mechanism) -> Tensor:
        v = one.log_v.exp()
        return torch.cat([one.mu / v, -0.5 / v], dim=-1)

    return (eta(codes) - eta(control)).T
