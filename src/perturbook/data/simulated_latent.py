"""`simulated-latent`: the world of the identifiability study, in which latents, mechanisms and mixing are known.

Not cells and not counts: 500 smooth mixtures of 4 latents that respond to the environment and 7 that do not. The sizes
are those of Table 1 of the PerturbedVAE paper; mixing, ranges and cell numbers are not known from it and were chosen.

Source: `perturbedvae.md` sections 2 and 8.1; a changed coefficient needs a new name, `simulated-latent-2`.
"""

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.dataset import dataset
from perturbook.data.schema import CONTROL, origin
from perturbook.data.simulated_latent_world import (
    N_ENVIRONMENTS,
    N_FEATURES,
    N_RESPONSIVE,
    SCALING_CELLS,
    TEST_CELLS,
    TRAIN_CELLS,
    draw_latents,
    draw_mechanisms,
    draw_mixing,
)
from perturbook.data.simulated_seed import seed_sequence
from perturbook.errors import ConfigError

NAME = "simulated-latent"


@dataset(
    NAME,
    title="Simulated latents: 4 respond to 12 environments, 7 do not, mixed into 500 features (4,000 cells)",
    synthetic=True,
    cells=False,
)
def prepare(*, seed: int = 0, obs_noise: float = 0.0) -> AnnData:
    """Simulate training and test cells of one world, with the counterfactual control twin of every cell.

    Not the canonical schema, because features are no counts. All rows are ordered by split and environment:

    - `X` `(cells, 500)` float32, features in units of their common spread; `layers["x_twin"]` `(cells, 500)`, the cell
      as it would have been under control: the same invariant noise, fresh response noise.
    - `obs`: `env` (0 for control, 1 to 12), `perturbation` (`control`, `env-01`, ...), `split` (`train`, `test`).
    - `obsm`: `u` `(cells, 12)` one-hot, zeros for control; `zn` `(cells, 4)`, `zi` `(cells, 7)`, the true latents;
      `zn_twin` `(cells, 4)`. The twin's invariant latents are `zi`.
    - `uns["truth"]`: every array of `Mechanisms` and `Mixing` by its name there. In environment k of 1 to 4, no edge
      enters responsive latent k (assumption iv of the theorem).

    Args:
        seed: the world and its cells.
        obs_noise: standard deviation of normal noise added to the features of cells and twins.

    Raises:
        ConfigError: a seed that is no whole number from 0, or a noise that is no number from 0.

    Source: `perturbedvae.md` section 8.1; the layout is our choice.
    """
    root = seed_sequence(NAME, seed)
    if not (isinstance(obs_noise, int | float) and 0 <= obs_noise < np.inf):
        raise ConfigError(f"{NAME}: obs_noise is {obs_noise!r}; give a number from 0.")
    # The recipe has five streams; the sixth, of the noise, leaves them as they are.
    for_parameters, for_mixing, for_scaling, *for_cells, for_noise = map(np.random.default_rng, root.spawn(6))
    mechanisms = draw_mechanisms(for_parameters)
    mixing = draw_mixing(
        for_mixing, draw_latents(for_scaling, mechanisms, (SCALING_CELLS,) * 2, twins=False)[1]
    )
    draws = [
        draw_latents(rng, mechanisms, cells)
        for rng, cells in zip(for_cells, (TRAIN_CELLS, TEST_CELLS), strict=True)
    ]
    env, z, twin = (np.concatenate(parts) for parts in zip(*draws, strict=True))
    noise = for_noise.normal(0.0, obs_noise, (2, len(z), N_FEATURES))
    split = np.repeat(["train", "test"], [len(draw[0]) for draw in draws])
    adata = AnnData(
        X=(mixing(z) + noise[0]).astype(np.float32),
        obs=_labels(env, split),
        var=pd.DataFrame(index=[f"feature-{i + 1:03d}" for i in range(N_FEATURES)]),
        layers={"x_twin": (mixing(twin) + noise[1]).astype(np.float32)},
        obsm={
            "u": np.eye(N_ENVIRONMENTS + 1)[env][:, 1:],
            "zn": z[:, :N_RESPONSIVE],
            "zi": z[:, N_RESPONSIVE:],
            "zn_twin": twin[:, :N_RESPONSIVE],
        },
    )
    adata.uns["truth"] = {**vars(mechanisms), **vars(mixing)}
    adata.uns["origin"] = origin(NAME, "Simulated features and latents, not measured; no cell and no gene.")
    return adata


def _labels(env: np.ndarray, split: np.ndarray) -> pd.DataFrame:
    names = np.array([CONTROL, *(f"env-{k:02d}" for k in range(1, N_ENVIRONMENTS + 1))])
    obs = pd.DataFrame({"env": env, "perturbation": names[env], "split": split})
    obs.index = [f"{part}-{i:04d}" for part, i in zip(split, obs.groupby("split").cumcount(), strict=True)]
    return obs.astype({"perturbation": "category", "split": "category"})
