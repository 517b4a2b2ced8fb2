"""`Anchored`: shrunken effects of two genes, plus what both do together, decoded gene by gene from what each does there.

    yhat_ab = mu0 + delta_a + delta_b + kappa r(anchors of the gene, zn(u_ab))

The residual r starts at 0, so that the first step is the additive prediction, and one network decodes all genes: what a pair
does beyond its sum can then be learned from other pairs and other genes. It sees the effects of the two genes and not only
latents, so that the theorem does not cover it.

Source: `perturbedvae.md` section 16.1 (b) and (c); decoding gene by gene from the anchors of `anchors.py` is our choice.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from perturbook.data.gene_labels import genes_of
from perturbook.data.schema import CONTROL
from perturbook.errors import NotApplicable
from perturbook.models.perturbed_vae.anchors import anchors
from perturbook.models.perturbed_vae.codes import codes
from perturbook.models.perturbed_vae.generate import Start
from perturbook.models.perturbed_vae.predictor import Predictor
from perturbook.models.protocol import Prediction, Query, Training
from perturbook.models.shrunken_effects import AdditiveShrunken
from perturbook.models.training import Settings, Shuffled, fit

FEWEST = 8
"""Fewest training doubles of two seen singles. Source: our choice."""
MOST = 1.5
"""Largest kappa. Source: `perturbedvae.md` section 16.1."""
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
class Anchored:
    """Additive prediction from shrunken effects, and a learned residual of doubles."""

    inner: Predictor | None = None
    """PerturbedVAE whose responsive latents the residual reads besides the anchors; None reads anchors alone."""
    seed: int = 0

    def fit(self, train: Training) -> "Anchored":
        """Learn the residual from training doubles; raises NotApplicable with fewer than `FEWEST` of two seen singles.

        Kappa is least squares on the validation doubles for a residual that was learned without them, and 1 where there
        are none; the residual itself is then learned again from all.
        """
        self.sum, self.controls = AdditiveShrunken().fit(train), train.controls
        if self.inner is not None:
            self.inner.fit(train)
        known = train.effects[[self._known(*label[:2]) for label in train.effects.index]]
        if len(known) < FEWEST:
            raise NotApplicable(
                f"training holds {len(known)} doubles of two seen singles; {FEWEST} are needed"
            )
        held = _held(train, known.index)
        self.kappa = 1.0
        if held.any() and (~held).sum() >= FEWEST:
            self._learn(known[~held])
            left, made = self._beyond(known[held]), self._residuals(known[held].index)
            size = float((made**2).sum())
            self.kappa = float(np.clip((left * made).sum() / size, 0, MOST)) if size > 0 else 0.0
        self._learn(known)
        return self

    def _known(self, context: str, name: str) -> bool:
        genes = genes_of(name)
        return len(genes) == 2 and set(genes) <= set(self.sum.singles.get(context, {}))

    def _beyond(self, known: pd.DataFrame) -> np.ndarray:
        """Measured effects minus the sum of the shrunken ones, `(doubles, genes)`."""
        parts = [
            sum(self.sum.singles[context][gene] for gene in genes_of(name))
            for context, name, _ in known.index
        ]
        return known.to_numpy() - np.array(parts)

    def _features(self, context: str, name: str) -> np.ndarray:
        """Features of every gene of a double, `(genes, features)`."""
        first, second = (self.sum.singles[context][gene] for gene in genes_of(name))
        made = anchors(first, second, self.controls.loc[context].to_numpy())
        if self.inner is None:
            return made
        return np.hstack([made, np.tile(self._latents(context, name), (len(made), 1))])

    @torch.no_grad()
    def _latents(self, context: str, name: str) -> np.ndarray:
        """Prior mean of the responsive latents for the mean control profile, minus that of control, `(d_nu,)`."""
        model = self.inner.model
        start = Start.of(model, self.controls.loc[[context]].to_numpy(), "mean", self.seed)
        both = codes([name, CONTROL], self.inner.genes)
        zn = model.mechanisms(torch.from_numpy(both)).respond(
            torch.zeros(2, model.config.d_nu), start.zi.expand(2, -1)
        )
        return (zn[0] - zn[1]).numpy()

    def _learn(self, known: pd.DataFrame) -> None:
        """Fit the networks to some doubles."""
        x = np.concatenate([self._features(*label[:2]) for label in known.index])
        y = self._beyond(known).ravel()
        centre, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
        features, target = torch.from_numpy(x).float(), torch.from_numpy(y).float()
        unit = max(float(np.sqrt(np.mean(y**2))), 1e-9)
        batches = Shuffled(len(x), ROWS, lambda rows: (features[rows], target[rows]))
        self.networks = []
        for seed in range(self.seed, self.seed + SEEDS):
            network = Residual(centre, scale, unit, seed)
            steps = -(-len(x) // ROWS)
            fit(network, _loss, batches, Settings(**SETTINGS, seed=seed, log_every=steps))
            self.networks.append(network)

    @torch.no_grad()
    def _residuals(self, labels: pd.Index) -> np.ndarray:
        """Learned residuals `(doubles, genes)`: the mean over networks."""
        made = []
        for context, name, *_ in labels:
            features = torch.from_numpy(self._features(context, name)).float()
            made.append(torch.stack([one(features) for one in self.networks]).mean(dim=0).double().numpy())
        return np.array(made)

    def predict(self, query: Query) -> Prediction:
        """Means `(conditions, genes)`; the sum alone for singles, NaN where training lacks a single."""
        mean = self.sum.predict(query).mean
        for row, (context, name) in enumerate(query.group("context", "perturbation")):
            if self._known(str(context), str(name)):
                mean[row] += self.kappa * self._residuals([(str(context), str(name))])[0]
        return Prediction(mean)


def _held(train: Training, labels: pd.Index) -> np.ndarray:
    """True for conditions whose cells are validation cells, `(conditions,)`."""
    obs = train.cells.obs.loc[sorted(train.valid), ["context", "perturbation"]].astype(str)
    valid = set(map(tuple, obs.drop_duplicates().to_numpy()))
    return np.array([tuple(label[:2]) in valid for label in labels])


def _loss(network: Residual, batch: tuple[Tensor, Tensor], step: int) -> Tensor:
    """Mean squared error in units of the residuals' own size, so that the learning rate means the same everywhere."""
    features, target = batch
    return (((network(features) - target) / network.unit) ** 2).mean()
