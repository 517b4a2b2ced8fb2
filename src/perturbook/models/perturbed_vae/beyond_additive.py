"""`BeyondAdditive`: the sum of two shrunken effects, plus what a regression learned, from other doubles, that pairs do beyond it.

    yhat_ab = mu0 + delta_a + delta_b + kappa r(features of the gene in this pair)

One regression serves all genes of all doubles: what it learns at one gene of one pair it can say of another. Which regression
is left to whoever derives from this. Source: `perturbedvae.md` section 16.1 (b) and (c); gene by gene is our choice.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import pandas as pd

from perturbook.data.gene_labels import genes_of
from perturbook.errors import NotApplicable
from perturbook.models.perturbed_vae.anchors import anchors
from perturbook.models.protocol import Prediction, Query, Training
from perturbook.models.shrunken_effects import AdditiveShrunken

FEWEST = 8
"""Fewest training doubles of two seen singles. Source: our choice."""
MOST = 1.5
"""Largest kappa. Source: `perturbedvae.md` section 16.1."""


class BeyondAdditive(ABC):
    """Additive prediction from shrunken effects, and a learned residual of doubles."""

    def fit(self, train: Training) -> "BeyondAdditive":
        """Learn the residual from training doubles; raises NotApplicable with fewer than `FEWEST` of two seen singles.

        Kappa is least squares on the validation doubles for a residual that was learned without them, and 1 where there
        are none; the residual itself is then learned again from all.
        """
        self.sum, self.controls = AdditiveShrunken().fit(train), train.controls
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

    @abstractmethod
    def _regress(self, x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """From features `(rows, features)` and residuals `(rows,)` to a function of features."""

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
        return anchors(first, second, self.controls.loc[context].to_numpy())

    def _learn(self, known: pd.DataFrame) -> None:
        """Fit the regression to some doubles."""
        x = np.concatenate([self._features(*label[:2]) for label in known.index])
        self.regression = self._regress(x, self._beyond(known).ravel())

    def _residuals(self, labels: pd.Index) -> np.ndarray:
        """Learned residuals `(doubles, genes)`."""
        return np.array([self.regression(self._features(context, name)) for context, name, *_ in labels])

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
