"""Traps of the reference that both sides of a Pearson-delta subtract: shared control cells, shared response."""

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data import Profiles
from perturbook.errors import ConfigError
from perturbook.evaluation.mean_profile import constant_guard, pearson_delta
from perturbook.pages.traps import strongest

SIZES = (5, 10, 25, 50, 100, 200)
"""Cells per draw; a line uses those that its controls suffice for."""


def shared_control(adata: AnnData, n_treated: int, repeats: int, seed: int) -> pd.DataFrame:
    """Correlate two "effects" of control cells against control cells, where there is no effect at all.

    Disjoint draws of one context's controls play two replicates of `n_treated` cells and their `n0` controls. The
    controls are subtracted from both ("same cells"), or one half of them from each ("split").

    Returns:
        Columns `n_control controls value expected`, one row per draw; `expected` is n / (n + n0), or 0 if split.

    Raises:
        ConfigError: a context has too few control cells for two replicates and as many controls.
    """
    rng, rows, n = np.random.default_rng(seed), [], n_treated
    for cells in control_cells(adata).values():
        guard = constant_guard(cells.mean(axis=0))
        if not 2 <= n <= len(cells) // 3:
            raise ConfigError(
                f"n_treated={n} must lie in 2..{len(cells) // 3}: a line has {len(cells)} controls."
            )
        for n0 in [size for size in sorted({*SIZES, n}) if 2 * n + size <= len(cells)]:
            for _ in range(repeats):
                drawn = cells[rng.permutation(len(cells))[: 2 * n + n0]]
                parts = np.split(drawn, [n, 2 * n, 2 * n + n0 // 2])
                first, second, half_a, half_b = (part.mean(axis=0, keepdims=True) for part in parts)
                whole = drawn[2 * n :].mean(axis=0, keepdims=True)
                shared = pearson_delta(first - whole, second - whole, guard)[0]
                split = pearson_delta(first - half_a, second - half_b, guard)[0]
                rows += [(n0, "same cells", shared, n / (n + n0)), (n0, "split", split, 0.0)]
    return pd.DataFrame(rows, columns=["n_control", "controls", "value", "expected"])


def shared_response(adata: AnnData, profiles: Profiles, seed: int) -> pd.DataFrame:
    """Score two predictors that know nothing of the drug, and one that knows its lower dose, against three references.

    Returns:
        Columns `condition perturbation predictor reference value` for the conditions at the highest dose. The centroid
        is the mean of the other drugs in the same context, so that predicting it is undefined against itself.
    """
    obs, mean, control, lower = strongest(profiles)
    halves = {c: _halves(cells, seed) for c, cells in control_cells(adata).items()}
    half_a, half_b = (np.array([halves[c][i] for c in obs["context"]]) for i in (0, 1))
    context, drug = obs["context"].to_numpy(), obs["perturbation"].to_numpy()
    others = (context[:, None] == context) & (drug[:, None] != drug)
    centroid = others @ mean / others.sum(axis=1, keepdims=True)
    guard, frames = constant_guard(control), []
    for name, predicted, start in (
        ("no change", control, half_a),
        ("mean of the other drugs", centroid, centroid),
        ("same drug, lower dose", lower, lower),
    ):
        for reference, value in (
            ("control, same cells", pearson_delta(mean - control, predicted - control, guard)),
            ("control, split cells", pearson_delta(mean - half_b, start - half_a, guard)),
            ("training centroid", pearson_delta(mean - centroid, predicted - centroid, guard)),
        ):
            frames.append(obs.reset_index().assign(predictor=name, reference=reference, value=value))
    return pd.concat(frames)[["condition", "perturbation", "predictor", "reference", "value"]]


def control_cells(adata: AnnData) -> dict[str, np.ndarray]:
    """Return the control cells of each context, `(cells, genes)` log1p of counts per 10k, in the order of their names."""
    obs = adata.obs[adata.obs["is_control"]].sort_index()
    return {
        str(context): adata[names].layers["lognorm"].toarray().astype(float)
        for context, names in obs.groupby("context", observed=True).groups.items()
    }


def _halves(cells: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(cells))
    return tuple(cells[half].mean(axis=0) for half in np.array_split(order, 2))
