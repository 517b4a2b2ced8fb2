"""Shrunken effects: what is left of a measured change when its noise is taken into account, gene by gene.

    delta_g ~ (1 - pi) [0] + pi N(0, tau^2) ,   d_g | delta_g ~ N(delta_g, s_g^2)

with pi and tau^2 fitted to all genes of one perturbation by maximum likelihood, and the posterior mean taken: a gene whose
measured change d is within its noise s goes to 0, a large one stays. Source: `perturbedvae.md` section 16.1 (c), empirical
Bayes; the point-normal prior and its fit by EM are our choice.
"""

import numpy as np

from perturbook.models.additive_pairs import AdditivePairs
from perturbook.models.protocol import Prediction, Query, Training, model

ROUNDS = 200
"""Rounds of EM, of which there is no need after a few dozen."""
LEAST = 1e-12
"""Variance below which a number counts as exact."""


def shrink(change: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Posterior mean of the true change `(genes,)`.

    Args:
        change: measured change of every gene `(genes,)`.
        noise: its sampling variance `(genes,)`; genes with no noise are left as they are.
    """
    made, rows = change.copy(), noise > LEAST
    d2, s2 = change[rows] ** 2, noise[rows]
    if not rows.any():
        return made
    share, tau2 = 0.5, max(np.mean(d2) - np.mean(s2), np.mean(s2))
    for _ in range(ROUNDS):
        total = tau2 + s2
        odds = np.log(share / (1 - share)) + 0.5 * (np.log(s2 / total) + d2 * (1 / s2 - 1 / total))
        weight = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
        kept = tau2 / total
        second = kept**2 * d2 + kept * s2  # E[delta^2] given that it is not 0
        tau2 = max((weight * second).sum() / max(weight.sum(), LEAST), LEAST)
        share = float(np.clip(weight.mean(), 1e-3, 1 - 1e-3))
    made[rows] = weight * kept * change[rows]
    return made


@model("additive_shrunken", title="Additive, shrunken effects", role="floor")
class AdditiveShrunken(AdditivePairs):
    """yhat = mu0 + the sum of the two single effects, each shrunken by what its own noise says.

    Source: perturbedvae.md section 16.1 (c) and its list of floors.
    """

    def fit(self, train: Training) -> "AdditiveShrunken":
        """Keep the shrunken effect of every single."""
        super().fit(train)
        noise = sampling_variance(train)
        for (context, name, _), row in zip(self.effects.index, noise, strict=True):
            if "+" not in name:
                self.singles[context][name] = shrink(self.singles[context][name], row)
        return self


def sampling_variance(train: Training) -> np.ndarray:
    """Sampling variance of every row of `train.effects`, `(conditions, genes)`; 0 where one cell has no variance."""
    profiles = train.profiles
    obs = profiles.obs
    own = np.nan_to_num(profiles.variance) / obs["n_cells"].to_numpy(float)[:, None]
    control = obs["is_control"].to_numpy(bool)
    contexts = obs["context"].astype(str).to_numpy()
    base = {context: row for context, row in zip(contexts[control], own[control], strict=True)}
    return own[~control] + np.array([base[context] for context in contexts[~control]])


@model("additive_clipped", title="Additive, not below zero", role="floor")
class AdditiveClipped(AdditivePairs):
    """The sum of two effects, set to 0 where it falls below: expression cannot.

    Source: perturbedvae.md section 16.1, its list of floors.
    """

    def predict(self, query: Query) -> Prediction:
        """The clipped sum."""
        return Prediction(np.maximum(super().predict(query).mean, 0.0))
