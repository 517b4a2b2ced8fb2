"""SAMS-VAE: a perturbation moves few latents, which ones is learned, and those of two perturbations add up.

    z = z_basal + D (E * M)      D the code, E ~ N(0, 1) the size and M ~ Bernoulli(.01) the mask of every gene's effect
    counts ~ NB(library * softmax(dec(z)), one dispersion per gene)
    guide: q(M) q(E | M) q(z_basal | x, D (E * M)), masks drawn by straight-through Gumbel
    loss = -ELBO, in which the KL of a gene's effect is shared out among the cells that carry it

Source: Bereket and Karaletsos 2023 as `perturbedvae.md` section 13 reports it, sizes included. Ours: the terms of the KL are
computed and not sampled; a panel of genes has one more entry for all counts outside of it, which is decoded and not scored, so
that the library stays that of the whole cell; decoding starts at the mean profile. Where the data hold no counts, a normal
with one variance per gene stands in for the negative binomial, on log expression.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perturbook.data.schema import COUNT_KINDS
from perturbook.models.perturbed_vae.batches import Cells, tensor
from perturbook.models.perturbed_vae.likelihood import Counts, GaussianGene, NegativeBinomial
from perturbook.models.perturbed_vae.model import Normal, standard_kl
from perturbook.models.predecessors.predictor import Predecessor
from perturbook.models.protocol import Training
from perturbook.models.training import Shuffled

MASK_PRIOR = 0.01
"""Prior probability that a gene's effect has a given latent."""
PACE = 4.0
"""Units of a mask's logit per unit of its parameter. A step of Adam has the size of the learning rate, so that a few thousand of
them would not bring a logit from 0 to that of the prior, as the published 30,000 do. Source: our choice."""
ALL = slice(None)
LOG_VARIANCE = (-8.0, 6.0)
"""Least and most of any log variance of the guide. Source: our choice."""


class Profile(NamedTuple):
    """What is known of the training cells before training, each `(genes,)`; the last also of the counts outside the panel."""

    mean: Tensor
    """Of log expression."""
    scale: Tensor
    """Standard deviation of log expression; 1 where a gene does not vary."""
    start: Tensor
    """Where decoding starts: log share of all counts, or mean log expression."""


class Residual(nn.Module):
    """Linear layers of one width with LeakyReLU, each behind the first added to what it reads, and a linear output."""

    def __init__(self, n_in: tuple[int, ...], hidden: int, layers: int, n_out: int):
        super().__init__()
        self.first = nn.ModuleList(nn.Linear(n, hidden) for n in n_in)
        self.others = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers - 1))
        self.last = nn.Linear(hidden, n_out)

    def forward(self, *parts: Tensor) -> Tensor:
        """Parts `(..., n)`, read as if they stood side by side -> `(..., n_out)`; a part without draws is read once."""
        h = F.leaky_relu(sum(layer(part) for layer, part in zip(self.first, parts, strict=True)))
        for layer in self.others:
            h = h + F.leaky_relu(layer(h))
        return self.last(h)


class SAMSVAE(nn.Module):
    """The model and its guide; first weights are drawn from `seed`."""

    def __init__(
        self,
        profile: Profile,
        n_perts: int,
        counted: bool,
        seed: int = 0,
        *,
        latent: int,
        hidden: int,
        layers: int,
        effect_layers: int,
    ):
        super().__init__()
        self.latent, self.counted, n_out = latent, counted, len(profile.start)
        self.register_buffer("centre", profile.mean)
        self.register_buffer("scale", profile.scale)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.mask = nn.Parameter(torch.zeros(n_perts, latent))
            self.effect = Residual((latent, n_perts), hidden, effect_layers, 2 * latent)
            self.basal = Residual((len(profile.mean), latent), hidden, layers, 2 * latent)
            self.decoder = Residual((latent,), hidden, layers, n_out)
        with torch.no_grad():
            self.decoder.last.bias.copy_(profile.start)
        self.likelihood = (NegativeBinomial if counted else GaussianGene)(n_out)
        if not counted:
            self.likelihood.start(profile.scale.square())

    @property
    def mask_logits(self) -> Tensor:
        """Of q(M), `(n_perts, latent)`; all masks start at one half."""
        return PACE * self.mask

    def masks(self, draws: int, genes: Tensor | slice = ALL) -> Tensor:
        """Draws of M `(draws, genes, latent)`: 0 or 1, with the gradient of the relaxed draw at temperature 1."""
        logits = self.mask_logits[genes]
        uniform = torch.rand(draws, *logits.shape).clamp(1e-6, 1 - 1e-6)
        soft = torch.sigmoid(logits + uniform.logit())
        return (soft > 0.5).float() + (soft - soft.detach())

    def effects(self, mask: Tensor, genes: Tensor | slice = ALL) -> Normal:
        """q(E | M) of masks `(draws, genes, latent)`, parts of the same shape."""
        return _normal(self.effect(mask, torch.eye(len(self.mask))[genes]))

    def encode(self, x: Tensor, offset: Tensor) -> Normal:
        """q(z_basal | x, offset) of cells `(cells, genes)` and offsets `(..., cells, latent)`."""
        return _normal(self.basal((x - self.centre) / self.scale, offset))

    def terms(
        self, x: Tensor, u: Tensor, counts: Counts | None, carried: Tensor, particles: int
    ) -> dict[str, Tensor]:
        """Terms of -ELBO per cell, scalars whose sum is the loss.

        Args:
            x: log expression `(cells, genes)`.
            u: codes `(cells, n_perts)`.
            counts: of the cells, one column more than genes; None for the normal.
            carried: training cells that carry each gene `(n_perts,)`: what its effect's KL is shared among.
            particles: draws of masks and effects.
        """
        mask = self.masks(particles)
        effect = self.effects(mask)
        offset = u @ (mask * effect.draw())
        basal = self.encode(x, offset)
        decoded = self.decoder(basal.draw() + offset)
        share = u.mean(dim=0) / carried
        scored = self.likelihood(decoded, x, counts)
        return {
            "reconstruction": (scored[..., :-1] if self.counted else scored / 2).sum(dim=-1).mean(),
            "kl_basal": standard_kl(basal).sum(dim=-1).mean(),
            "kl_effect": (standard_kl(effect).sum(dim=-1) @ share).mean(),
            "kl_mask": bernoulli_kl(self.mask_logits).sum(dim=-1) @ share,
        }


def bernoulli_kl(logits: Tensor) -> Tensor:
    """KL of Bernoulli(sigmoid(logits)) from the prior of a mask, element by element."""
    p = torch.sigmoid(logits)
    on, off = F.logsigmoid(logits) - np.log(MASK_PRIOR), F.logsigmoid(-logits) - np.log1p(-MASK_PRIOR)
    return p * on + (1 - p) * off


def _normal(made: Tensor) -> Normal:
    mean, log_variance = made.chunk(2, dim=-1)
    return Normal(mean, log_variance.clamp(*LOG_VARIANCE))


def profile_of(cells: Cells) -> Profile:
    """Means and scales of the training cells; the start is of counts where there are some."""
    x = cells.x.astype(float)
    mean = x.mean(axis=0).A1
    variance = x.multiply(x).mean(axis=0).A1 - mean**2
    scale = np.where(variance > 1e-12, np.sqrt(np.maximum(variance, 1e-12)), 1.0)
    start = mean
    if cells.counts is not None:
        total = cells.counts.sum(axis=0).A1
        start = np.log((total + 0.5) / (total.sum() + 0.5 * len(total)))
    return Profile(*(torch.from_numpy(part).float() for part in (mean, scale, start)))


@dataclass
class Predictor(Predecessor):
    """SAMS-VAE behind the protocol.

    Source: five particles and clipping at 100 are published. Batches of 64 (not 512), 3e-3 (not 3e-4) with its fall, and the
    sizes for few genes are our choice for small data, made on training cells of norman2019-mini that were set aside.
    """

    epochs: int = 45
    batch_size: int = 64
    learning_rate: float = 3e-3
    clip: float | None = 100.0
    particles: int = 5

    paper = {"latent": 200, "hidden": 400, "layers": 1, "effect_layers": 4}
    small = {"latent": 20, "hidden": 64}

    def describe(self, train: Training) -> dict[str, Any]:
        """What `fit` would train, JSON-ready; see `Predecessor.describe`."""
        likelihood = "negative binomial" if _counted(train) else "normal"
        return {**super().describe(train), "likelihood": likelihood}

    def _cells(self, train: Training) -> tuple[Cells, list[str]]:
        """With raw counts where there are some, and one more column for those outside of the panel."""
        cells, genes = super()._cells(train)
        if not _counted(train):
            return cells, genes
        adata = train.cells[np.argsort(train.cells.obs_names.to_numpy(str))]
        counts, library = sp.csr_matrix(adata.X, dtype=np.float32), adata.obs["n_counts"].to_numpy(float)
        rest = np.maximum(library - counts.sum(axis=1).A1, 0).astype(np.float32)
        return replace(cells, counts=sp.hstack([counts, rest[:, None]], "csr"), library=library), genes

    def _objective(self, cells: Cells, sizes: dict[str, int]):
        counted, n_perts = cells.counts is not None, cells.codes.shape[1]
        model = SAMSVAE(profile_of(cells), n_perts, counted, self.seed, **sizes)
        carried = tensor(np.bincount(cells.environment, minlength=len(cells.codes)) @ cells.codes)

        def make(rows: np.ndarray) -> tuple[Tensor, Tensor, Counts | None]:
            counts = Counts(tensor(cells.counts[rows]), tensor(cells.library[rows])) if counted else None
            return tensor(cells.x[rows]), tensor(cells.codes[cells.environment[rows]]), counts

        def loss(model: SAMSVAE, batch: tuple, step: int) -> dict[str, Tensor]:
            terms = model.terms(*batch, carried, self.particles)
            return {**terms, "loss": sum(terms.values())}

        return model, Shuffled(len(cells.environment), self.batch_size, make), loss

    def _draw(self, x0: Tensor, library: Tensor, code: Tensor) -> Tensor:
        """A mask and an effect of their own for every cell, added to a draw of its basal state, and observation noise.

        The published evaluation draws the basal state from N(0, I); that of the control cell keeps what its context is.
        """
        model = self.model
        basal = model.encode(x0, torch.zeros(len(x0), model.latent)).draw()
        genes = torch.nonzero(code).ravel()
        mask = model.masks(len(x0), genes)
        offset = (mask * model.effects(mask, genes).draw()).sum(dim=1)
        made = model.likelihood.draw(model.decoder(basal + offset), library)
        return made[:, : x0.shape[1]]


def _counted(train: Training) -> bool:
    return train.cells.uns["value_kind"] in COUNT_KINDS
