"""`PerturbedVAE`: invariant and responsive latents of a cell, the causal model between them, and a decoder.

    q(zn, zi | x, u) = q(t | x, u) q(zi | x)        equation (2); zn is the image of t and zi under the mechanism of u
    p(zn, zi | u)    = p(t | u) N(zi; 0, I)         equation (54)
    x                = dec(zn, zi)                  the decoder never sees u

Source: arXiv 2605.19343 as `perturbedvae.md` reports it; depth and activation are our choice.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from perturbook.errors import ShapeError
from perturbook.models.perturbed_vae import alignment
from perturbook.models.perturbed_vae.config import Config
from perturbook.models.perturbed_vae.likelihood import LIKELIHOODS, Counts
from perturbook.models.perturbed_vae.mechanism import Mechanism, Mechanisms

POSTERIOR_LOG_VARIANCE = (-8.0, 6.0)
"""Least and most of the log variance of an encoder. Source: our choice."""
SLOPE = 0.2
"""Of LeakyReLU. Source: our choice."""


class Normal(NamedTuple):
    """A diagonal normal per cell."""

    mean: Tensor
    log_variance: Tensor

    def draw(self) -> Tensor:
        """One draw per cell, differentiable."""
        return self.mean + torch.randn_like(self.mean) * torch.exp(self.log_variance / 2)


class PerturbedVAE(nn.Module):
    """Switches as of `Config`; all of them are stored in `.config`."""

    def __init__(self, n_genes: int, n_perts: int, seed: int = 0, **switches):
        """First weights are drawn from `seed`.

        Args:
            n_genes: genes of a cell.
            n_perts: length of a code.
            seed: of the first weights.
            switches: fields of `Config`, such as `d_nu=20`, `d_iota=85`, `hidden=256`, `align="pair"`.

        Raises:
            ConfigError: an impossible value.
        """
        super().__init__()
        self.config, self.n_genes, self.n_perts = Config(**switches), n_genes, n_perts
        c = self.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.enc = hidden_layers(n_genes, c.hidden, 2)
            self.g_nu = nn.Sequential(
                hidden_layers(c.hidden + n_perts, c.hidden, 1), nn.Linear(c.hidden, 2 * c.d_nu)
            )
            self.g_iota = nn.Linear(c.hidden, 2 * c.d_iota)
            self.mechanisms = Mechanisms(n_perts, c)
            self.dec = nn.Sequential(
                hidden_layers(c.d_nu + c.d_iota, c.hidden, 2), nn.Linear(c.hidden, n_genes)
            )
            self.likelihood = LIKELIHOODS[c.likelihood](n_genes)

    def encode_iota(self, x: Tensor) -> Normal:
        """q(zi | x): invariant latents of cells `(cells, genes)`, each part `(cells, d_iota)`; never told the code."""
        return _normal(self.g_iota(self.enc(x)))

    def encode(self, x: Tensor, u: Tensor) -> tuple[Normal, Normal]:
        """q(t | x, u), `(cells, d_nu)`, and q(zi | x), `(cells, d_iota)`."""
        self._check(x, u)
        h = self.enc(x)
        return _normal(self.g_nu(torch.cat([h, u], dim=-1))), _normal(self.g_iota(h))

    def decode(self, zn: Tensor, zi: Tensor) -> Tensor:
        """What the likelihood reads, `(cells, genes)`."""
        return self.dec(torch.cat([zn, zi], dim=-1))

    def latents(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior means of the responsive `(cells, d_nu)` and the invariant latents `(cells, d_iota)`.

        Source: `perturbedvae.md` section 8.2.
        """
        noise, zi = self.encode(x, u)
        return self.mechanisms(u).respond(noise.mean, zi.mean), zi.mean

    def terms(
        self,
        x: Tensor,
        u: Tensor,
        x0: Tensor,
        environment: Tensor | None = None,
        counts: Counts | None = None,
    ) -> dict[str, Tensor]:
        """Loss terms of a batch, each a scalar without its weight. Source: Algorithm 1; reductions as `Config` says.

        Args:
            x: cells `(cells, genes)`.
            u: their codes `(cells, n_perts)`; zeros for control.
            x0: one control cell for each, `(cells, genes)`.
            environment: number of each cell's perturbation `(cells,)`, read by `align="independence"`.
            counts: of `x`, read by `likelihood="nb"`.
        """
        c = self.config
        self._check(x, u)
        h = self.enc(torch.cat([x, x0]))  # one pass for both
        noise = _normal(self.g_nu(torch.cat([h[: len(x)], u], dim=-1)))
        both = _normal(self.g_iota(h))
        zi, partner = (Normal(*(part[at] for part in both)) for at in (slice(len(x)), slice(len(x), None)))
        mechanism, drawn = self.mechanisms(u), zi.draw()
        decoded = self.decode(mechanism.respond(noise.draw(), drawn), drawn)
        error = self.likelihood(decoded, x, counts)
        held = both if c.kl_iota_cells == "both" else zi
        return {
            "reconstruction": error.mean() if c.recon_reduction == "mean" else error.sum(dim=1).mean(),
            "kl_nu": noise_kl(noise, mechanism).sum(dim=1).mean(),
            "kl_iota": standard_kl(held).sum(dim=1).mean(),
            "alignment": self._alignment(zi, partner, drawn, environment),
        }

    def loss(self, terms: dict[str, Tensor], rise: float = 1.0) -> Tensor:
        """Weighted sum of the terms, the three weights times `rise`. Source: equation (5)."""
        c = self.config
        alpha = 0.0 if c.align == "none" else c.alpha
        extra = c.w_nu * terms["kl_nu"] + c.w_iota * terms["kl_iota"] + alpha * terms["alignment"]
        return terms["reconstruction"] + rise * extra

    def _alignment(self, zi: Normal, partner: Normal, drawn: Tensor, environment: Tensor | None) -> Tensor:
        """The alignment term; with `none` it is the pair's, shown and not counted."""
        means = self.config.align_on == "means"
        own, other = (zi.mean, partner.mean) if means else (drawn, partner.draw())
        if self.config.align == "independence":
            if environment is None:
                raise ShapeError("align='independence' needs the environment of every cell.")
            return alignment.independence(own, environment)
        return (
            alignment.centroid(own, other) if self.config.align == "centroid" else alignment.pair(own, other)
        )

    def _check(self, x: Tensor, u: Tensor) -> None:
        if x.shape[1:] != (self.n_genes,) or u.shape != (len(x), self.n_perts):
            raise ShapeError(
                f"x is {tuple(x.shape)} and u {tuple(u.shape)}; expected (cells, {self.n_genes}) and "
                f"(cells, {self.n_perts})."
            )


def hidden_layers(n_in: int, width: int, number: int) -> nn.Sequential:
    """`number` linear layers, each behind with LeakyReLU."""
    sizes = pairwise([n_in, *[width] * number])
    return nn.Sequential(*(nn.Sequential(nn.Linear(a, b), nn.LeakyReLU(SLOPE)) for a, b in sizes))


def noise_kl(noise: Normal, mechanism: Mechanism) -> Tensor:
    """KL of the response noise from its prior N(0, v(u)), per latent, `(cells, d_nu)`.

    Equal to the KL between responsive latents, because both are the image of the noise under one invertible affine map:
    no inverse, no determinant, no invariant latent. Source: `perturbedvae.md` section 3.1.
    """
    apart = noise.log_variance - mechanism.log_v
    return 0.5 * (apart.exp() + noise.mean.square() * torch.exp(-mechanism.log_v) - 1 - apart)


def standard_kl(one: Normal) -> Tensor:
    """KL from N(0, I), per latent. Source: equation (54)."""
    return 0.5 * (one.log_variance.exp() + one.mean.square() - 1 - one.log_variance)


def _normal(made: Tensor) -> Normal:
    mean, log_variance = made.chunk(2, dim=-1)
    return Normal(mean, log_variance.clamp(*POSTERIOR_LOG_VARIANCE))
