"""What MCC a block has that is found exactly and mixed at random: the chance level of the identifiability study.

Within the responsive block the likelihood cannot tell one basis from another. Given zi, the responsive latents of an
environment are normal with any mean that is affine in zi and any covariance, because every covariance is A^-1 V A^-T of some
unit lower triangular A and diagonal V. For an invertible B the latents B zn are again of that form, and the decoder takes the
B back. So all mixtures of a block fit equally well, unless edges are removed as assumption (iv) of the theorem says; the
training objective holds nothing that removes them.

Source: our own argument.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from perturbook.data.simulated_latent_world import Mechanisms
from perturbook.evaluation.latents import mean_correlation
from perturbook.pages.identifiability import World

DRAWS = 500
"""Random mixtures per world."""


def mixed(model: Mechanisms, B: np.ndarray) -> Mechanisms:
    """Mechanisms whose responsive latents are distributed as `B zn` in every environment, given the same invariant ones.

    Args:
        model: mechanisms of `environments + 1` environments.
        B: invertible, `(responsive, responsive)`.
    """
    eye, Lnn, Lni, mu, v = np.eye(len(B)), [], [], [], []
    for k in range(len(model.mu)):
        response = B @ np.linalg.inv(eye - model.Lnn[k])  # of noise, its mean and the invariant latents
        lower = np.linalg.cholesky(response @ np.diag(model.v[k]) @ response.T)
        scale = np.diag(lower)
        A = np.linalg.inv(lower / scale)  # unit lower triangular
        Lnn.append(eye - A)
        Lni.append(A @ response @ model.Lni[k])
        mu.append(A @ response @ model.mu[k])
        v.append(scale**2)
    return replace(model, Lnn=np.array(Lnn), Lni=np.array(Lni), mu=np.array(mu), v=np.array(v))


def chance(world: World, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """MCC of the true responsive latents of the test cells, decorrelated and turned at random, `(draws,)`."""
    true = world.cells.obsm["zn"][~world.train]
    centred = true - true.mean(axis=0)
    white = centred @ np.linalg.cholesky(np.linalg.inv(np.cov(centred.T)))
    rng = np.random.default_rng(seed)
    turned = (np.linalg.qr(rng.normal(size=(true.shape[1],) * 2))[0] for _ in range(draws))
    return np.array([mean_correlation(white @ turn, true) for turn in turned])


def chance_table(stored: pd.DataFrame, title: str, draws: int = DRAWS) -> pd.DataFrame:
    """Per world the MCC that the arm called `title` found, beside chance: columns world, found, middle, low, high.

    Low and high hold 95 of 100 random mixtures.
    """
    rows = []
    for row in stored[stored["arm"] == title].sort_values("seed").itertuples():
        low, middle, high = np.quantile(chance(World.of(row.seed), draws), (0.025, 0.5, 0.975))
        rows.append({"world": row.seed, "found": row.mcc_nu, "middle": middle, "low": low, "high": high})
    return pd.DataFrame(rows)
