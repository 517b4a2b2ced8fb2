"""`Anchored`: shrunken effects of two genes, plus what both do together, decoded gene by gene from what each does there.

    yhat_ab = mu0 + delta_a + delta_b + kappa r(anchors of the gene, zn(u_ab))

The residual r starts at 0, so that the first step is the additive prediction, and one network decodes all genes: what a pair
does beyond its sum can then be learned from other pairs and other genes. It sees the effects of the two genes and not only
latents, so that the theorem does not cover it.

Source: `perturbedvae.md` section 16.1 (b) and (c); decoding gene by gene from the anchors of `anchors.py` is our choice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perturbook.data.schema import CONTROL
from perturbook.models.perturbed_vae.anchors import LEVELS, WHOLE
from perturbook.models.perturbed_vae.beyond_additive import BeyondAdditive
from perturbook.models.perturbed_vae.generate import Start
from perturbook.models.perturbed_vae.predictor import Predictor
from perturbook.models.protocol import Training
from perturbook.models.training import Settings, Shuffled, fit

HIDDEN, SEEDS = 64, 3
"""Width of the two hidden layers, and networks whose mean is taken. Source: our choice."""
SETTINGS = {"epochs": 60, "learning_rate": 3e-3, "weight_decay": 1e-2}
ROWS = 1024
"""Genes of doubles per step."""


class Residual(nn.Module):
    """From features of a gene of a double `(rows, features)` to its residual `(rows,)`; zero at the start."""

    def __init__(self, centre: np.ndarray, scale: np.ndarray, unit: float, seed: int):
        super().__init__()
        self.register_buffer("centre", torch.from_numpy(centre).float())
        self.register_buffer("scale", torch.from_numpy(scale).float())
        self.unit = unit
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            sizes = [(len(centre), HIDDEN), (HIDDEN, HIDDEN)]
            hidden = [part for size in sizes for part in (nn.Linear(*size), nn.SiLU())]
            self.layers = nn.Sequential(*hidden, nn.Linear(HIDDEN, 1))
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, features: Tensor) -> Tensor:
        """Residuals in the unit of expression."""
        return self.unit * self.layers((features - self.centre) / self.scale).squeeze(-1)


@dataclass
class Anchored(BeyondAdditive):
    """The residual is the mean of a few networks, which can read responsive latents besides the anchors."""

    inner: Predictor | None = None
    """PerturbedVAE whose responsive latents the residual reads besides the anchors; None reads anchors alone."""
    seed: int = 0
    epochs: int = SETTINGS["epochs"]

    def fit(self, train: Training) -> "Anchored":
        """Train the inner model where there is one, then the residual; see `BeyondAdditive.fit`."""
        if self.inner is not None:
            self.inner.fit(train)
        return super().fit(train)

    def describe(self, train: Training) -> dict[str, Any]:
        """What `fit` would train, JSON-ready: inputs, sizes, settings, and the inner model where there is one."""
        return {
            "inputs": [*LEVELS, *WHOLE],
            "networks": {"hidden": [HIDDEN, HIDDEN], "number": SEEDS},
            "training": {**SETTINGS, "epochs": self.epochs, "batch_size": ROWS, "seed": self.seed},
            "inner": self.inner and self.inner.describe(train),
        }

    def _features(self, context: str, name: str) -> np.ndarray:
        """Anchors `(genes, 9)`, behind them the latents of the double where there is an inner model."""
        made = super()._features(context, name)
        if self.inner is None:
            return made
        return np.hstack([made, np.tile(self._latents(context, name), (len(made), 1))])

    @torch.no_grad()
    def _latents(self, context: str, name: str) -> np.ndarray:
        """Prior mean of the responsive latents for the mean control profile, minus that of control, `(d_nu,)`."""
        model = self.inner.model
        start = Start.of(model, self.controls.loc[[context]].to_numpy(), "mean", self.seed)
        both = self.inner.codes([name, CONTROL])
        zn = model.mechanisms(torch.from_numpy(both)).respond(
            torch.zeros(2, model.config.d_nu), start.zi.expand(2, -1)
        )
        return (zn[0] - zn[1]).numpy()

    def _regress(self, x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Fit the networks."""
        centre, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
        features, target = torch.from_numpy(x).float(), torch.from_numpy(y).float()
        unit = max(float(np.sqrt(np.mean(y**2))), 1e-9)
        batches = Shuffled(len(x), ROWS, lambda rows: (features[rows], target[rows]))
        fixed = {**SETTINGS, "epochs": self.epochs, "log_every": -(-len(x) // ROWS)}
        networks = []
        for seed in range(self.seed, self.seed + SEEDS):
            network = Residual(centre, scale, unit, seed)
            fit(network, _loss, batches, Settings(**fixed, seed=seed))
            networks.append(network)

        @torch.no_grad()
        def mean(features: np.ndarray) -> np.ndarray:
            read = torch.from_numpy(features).float()
            return torch.stack([one(read) for one in networks]).mean(dim=0).double().numpy()

        return mean


def _loss(network: Residual, batch: tuple[Tensor, Tensor], step: int) -> Tensor:
    """Mean squared error in units of the residuals' own size, so that the learning rate means the same everywhere."""
    features, target = batch
    return (((network(features) - target) / network.unit) ** 2).mean()
