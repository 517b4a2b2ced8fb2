"""Training of PerturbedVAE: Algorithm 1 over epochs, with what must be watched recorded once per epoch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from perturbook.models.perturbed_vae.batches import Batch, Cells, Paired
from perturbook.models.perturbed_vae.mechanism import sufficiency
from perturbook.models.perturbed_vae.model import PerturbedVAE, noise_kl, standard_kl
from perturbook.models.training import History, Settings, fit

ACTIVE = 0.05
"""Nats of KL above which a latent counts as used. Source: `perturbedvae.md` section 5."""


@dataclass(frozen=True)
class Loss:
    """Loss of a batch at a step; diagnostics at the first step of every epoch."""

    per_epoch: int
    """Steps per epoch."""
    codes: Tensor
    """Code of each environment `(environments, n_perts)`, control first."""

    def __call__(self, module: PerturbedVAE, batch: Batch, step: int) -> dict[str, Tensor]:
        """Terms without weights, the total as `loss`, and diagnostics where they are recorded."""
        terms = module.terms(*batch)
        made = {**terms, "loss": module.loss(terms, module.config.rise(step / self.per_epoch))}
        return made | (watched(module, batch, self.codes) if step % self.per_epoch == 0 else {})


def train(
    model: PerturbedVAE,
    cells: Cells,
    *,
    epochs: int = 100,
    batch_size: int = 64,
    learning_rate: float = 1e-4,
    final_share: float = 1.0,
    seed: int = 0,
) -> History:
    """Train in place, to the last epoch, and return what was recorded.

    Args:
        model: what is trained.
        cells: training cells and how they are paired.
        epochs: passes over the cells (the paper: 100).
        batch_size: most cells per step (the paper: 64).
        learning_rate: of Adam (the paper: 1e-4).
        final_share: share of the learning rate left at the last step, behind half a cosine; 1 keeps it constant.
        seed: of order, partners and draws.

    Source: `perturbedvae.md` sections 3.2 and 4; clipping of gradients at norm 1 is our choice.
    """
    batches = Paired(cells, batch_size)
    settings = Settings(
        epochs=epochs,
        learning_rate=learning_rate,
        final_share=final_share,
        seed=seed,
        log_every=len(batches),
    )
    return fit(model, Loss(len(batches), torch.from_numpy(cells.codes).float()), batches, settings)


@torch.no_grad()
def watched(module: PerturbedVAE, batch: Batch, codes: Tensor) -> dict[str, Tensor]:
    """What must be watched, on one batch. Source: `perturbedvae.md` section 5.

    Returns:
        Scalars: active units of both kinds; largest absolute edge; least singular value of the matrix of assumption (ii),
        over the codes of training; squared gap of the mean invariant latents of cells and partners; and the variance over
        cells, mean over genes, of reconstructions and of predictions from the partner, over that of the cells.
    """
    noise, zi = module.encode(batch.x, batch.u)
    mechanism, before = module.mechanisms(batch.u), module.encode_iota(batch.x0)
    every = module.mechanisms(codes.to(batch.u.device))
    treated, control = (type(every)(*(part[at] for part in every)) for at in (slice(1, None), slice(0, 1)))
    spread = batch.x.var(dim=0).mean()

    def ratio(decoded: Tensor) -> Tensor:
        return module.likelihood.mean(decoded).var(dim=0).mean() / spread

    drawn, start = zi.draw(), before.draw()
    prior = torch.randn_like(mechanism.mu) * torch.exp(mechanism.log_v / 2)
    return {
        "active responsive": (noise_kl(noise, mechanism).mean(dim=0) > ACTIVE).sum(),
        "active invariant": (standard_kl(zi).mean(dim=0) > ACTIVE).sum(),
        "largest edge": mechanism.Lnn.abs().max(),
        "least singular value": torch.linalg.svdvals(sufficiency(treated, control))[-1],
        "alignment gap": (zi.mean.mean(dim=0) - before.mean.mean(dim=0)).square().sum(),
        "variance ratio, reconstructed": ratio(module.decode(mechanism.respond(noise.draw(), drawn), drawn)),
        "variance ratio, predicted": ratio(module.decode(mechanism.respond(prior, start), start)),
    }
