"""Traps of errors weighted by how far a condition stands out: few genes carry them, and the rest is not control."""

import numpy as np
import pandas as pd

from perturbook.data import Profiles
from perturbook.evaluation.differential import top_genes, welch_t
from perturbook.evaluation.mean_profile import rmse_mean
from perturbook.evaluation.weighted import effect_weights, effective_number, r2w_delta, rest_moments, wmse
from perturbook.pages.traps import strongest, treated


def weight_shares(profiles: Profiles) -> pd.DataFrame:
    """Share of all weight that the heaviest genes carry, mean over the conditions at the highest dose.

    Returns:
        Columns `against genes share effective`: weights against the other treated cells of the line ("the rest"), against
        its controls, or all alike; share of the `genes` heaviest; and the mean effective number of genes.

    Source: metrics.md section 3.7.
    """
    rows = []
    for against, w in _weights(profiles).items():
        share = np.cumsum(np.sort(w, axis=1)[:, ::-1], axis=1) / w.sum(axis=1, keepdims=True)
        effective = float(effective_number(w).mean())
        for k in np.unique(np.geomspace(1, w.shape[1], 25).astype(int)):
            rows.append((against, k, float(share[:, k - 1].mean()), effective))
    return pd.DataFrame(rows, columns=["against", "genes", "share", "effective"])


def same_heavy_genes(profiles: Profiles, k: int = 20) -> float:
    """Share of the `k` heaviest genes against the rest that are so against control too, mean over conditions."""
    w = _weights(profiles)
    rest, control = (top_genes(w[name], k) for name in ("the rest", "control"))
    return float((rest[:, :, None] == control[:, None, :]).any(axis=2).mean())


def weighted_scores(profiles: Profiles) -> pd.DataFrame:
    """Score predictors at the highest dose by plain and weighted errors, mean over conditions.

    The reference of effects is the mean of the other drugs on the same line at the same dose.

    Returns:
        One row per predictor: rmse_mean, wmse, r2w_delta.

    Source: metrics.md section 3.7.
    """
    obs, mean, control, lower = strongest(profiles)
    w, context = _weights(profiles)["the rest"], obs["context"].to_numpy()
    others = (context[:, None] == context) & ~np.eye(len(obs), dtype=bool)
    centroid = others @ mean / others.sum(axis=1, keepdims=True)
    level = (w * (mean - centroid)).sum(axis=1, keepdims=True) / w.sum(axis=1, keepdims=True)
    rows = {
        "no change": control,
        "mean of the other drugs": centroid,
        "the same, moved by one number in all genes": centroid + level,
        "same drug, lower dose": lower,
    }
    return pd.DataFrame(
        {
            name: {
                "rmse_mean": rmse_mean(mean, predicted).mean(),
                "wmse": wmse(mean, predicted, w).mean(),
                "r2w_delta": r2w_delta(mean - centroid, predicted - centroid, w).mean(),
            }
            for name, predicted in rows.items()
        }
    ).T.rename_axis("predictor")


def _weights(profiles: Profiles) -> dict[str, np.ndarray]:
    """Weights of the conditions at the highest dose against the rest of their line, against control, and all alike."""
    obs, mean, _ = treated(profiles)
    control = profiles.obs["is_control"].to_numpy()
    names, group = np.unique(obs["context"].to_numpy(str), return_inverse=True)
    own = pd.Series(np.flatnonzero(control), index=profiles.obs.loc[control, "context"].astype(str))[names]
    n, variance = obs["n_cells"].to_numpy(float), profiles.variance[~control]
    nobody = (np.zeros(len(names)), *np.zeros((2, len(names), mean.shape[1])))
    rest_n, rest_mean, rest_variance = rest_moments(n, mean, variance, group, nobody)
    row = own.to_numpy()[group]
    n0 = profiles.obs["n_cells"].to_numpy(float)[row]
    top = (obs["dose_um"] == obs["dose_um"].max()).to_numpy()
    return {
        "the rest": effect_weights(welch_t(mean, variance, n, rest_mean, rest_variance, rest_n))[top],
        "control": effect_weights(welch_t(mean, variance, n, profiles.mean[row], profiles.variance[row], n0))[
            top
        ],
        "all genes alike": np.ones((int(top.sum()), mean.shape[1])),
    }
