"""Cells of a perturbation, from control cells: invariant latents from the cell, responsive ones from the prior of the code.

Source: `perturbedvae.md` sections 3.3 and 16.1.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from perturbook.errors import ConfigError
from perturbook.models.perturbed_vae.batches import tensor
from perturbook.models.perturbed_vae.model import PerturbedVAE

MODES = ("sample", "mean")
ROWS = 4096
"""Cells that are decoded together."""


@dataclass(frozen=True)
class Start:
    """Control cells with the random numbers that go with them: the same for every code, so that codes can be compared."""

    zi: Tensor
    """Invariant latents `(cells, d_iota)`: draws of q(zi | x0), or its means."""
    noise: Tensor
    """Response noise in units of its standard deviation `(cells, d_nu)`; zeros in mode `mean`."""
    library: Tensor | None
    """Counts of the whole control cell `(cells,)`, for `likelihood="nb"`."""
    seed: int
    """Of the observation noise."""
    mode: str

    @classmethod
    @torch.no_grad()
    def of(
        cls, model: PerturbedVAE, x0: np.ndarray, mode: str, seed: int, library: np.ndarray | None = None
    ) -> "Start":
        """From control cells `(cells, genes)`; raises ConfigError for an unknown mode."""
        if mode not in MODES:
            raise ConfigError(f"mode is {mode!r}. Allowed: {', '.join(MODES)}.")
        zi = model.encode_iota(tensor(x0))
        draw, c = torch.Generator().manual_seed(seed), model.config
        first = torch.randn(len(x0), c.d_iota, generator=draw)
        noise = torch.randn(len(x0), c.d_nu, generator=draw)
        if mode == "mean":
            first, noise = torch.zeros_like(first), torch.zeros_like(noise)
        counted = None if library is None else tensor(library)
        return cls(zi.mean + first * torch.exp(zi.log_variance / 2), noise, counted, seed, mode)


@torch.no_grad()
def decoded(model: PerturbedVAE, start: Start, code: np.ndarray) -> Tensor:
    """What the decoder makes of the control cells under a code `(n_perts,)`: `(cells, genes)`, before the likelihood."""
    parts = []
    for zi, noise in zip(start.zi.split(ROWS), start.noise.split(ROWS), strict=True):
        mechanism = model.mechanisms(tensor(code).expand(len(zi), -1))
        zn = mechanism.respond(noise * torch.exp(mechanism.log_v / 2), zi)
        parts.append(model.decode(zn, zi))
    return torch.cat(parts)


@torch.no_grad()
def generate(model: PerturbedVAE, start: Start, code: np.ndarray) -> np.ndarray:
    """One cell for every control cell, `(cells, genes)` float32; with observation noise in mode `sample`."""
    made = decoded(model, start, code)
    if start.mode == "mean":
        return model.likelihood.mean(made).numpy()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(start.seed)
        return model.likelihood.draw(made, start.library).numpy()


def contrast(model: PerturbedVAE, start: Start, parts: np.ndarray) -> np.ndarray:
    """Mean interaction of the genes of a perturbation, `(genes,)`: what is decoded beyond the sum of its parts.

        R = E[ dec(u_a + u_b) - dec(u_a) - dec(u_b) + dec(0) ]

    with the same random numbers in all terms; zero for a single gene and for control.

    Args:
        model: trained.
        start: control cells.
        parts: code of each gene of the perturbation `(genes perturbed, n_perts)`.

    Source: `perturbedvae.md` section 16.1 (a); for more than two genes the sum of all singles is subtracted (our choice).
    """

    def mean(code: np.ndarray) -> np.ndarray:
        return model.likelihood.mean(decoded(model, start, code)).double().mean(dim=0).numpy()

    none = mean(np.zeros(parts.shape[1]))
    return mean(parts.sum(axis=0)) - none - sum((mean(part) - none for part in parts), start=0 * none)
