"""The latents study where truth is known: one world of `simulated-latent`, five seeds of the model, two ways to pair.

Source: `perturbedvae.md` sections 8 and 12; which measures is our choice.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook.data.simulated_latent import NAME
from perturbook.evaluation import programs
from perturbook.evaluation.latents import affine_r2
from perturbook.evaluation.probes import probe_labels
from perturbook.evaluation.stability import Ensemble, correlations, edge_agreement, match
from perturbook.pages import trained_table
from perturbook.pages.identifiability import ARMS, World, fit
from perturbook.pages.present import number
from perturbook.pages.table import ROOT

DEPOSIT = ROOT / "results" / "latents-simulated.csv"
COLUMNS = ["arm", "measure", "of", "value"]
SHOWN = ("twins", "random")
"""Arms of the identifiability study: partners that share the invariant noise, and control cells drawn at random."""
SEEDS, EPOCHS = 5, 20
MEASURES = {
    "environment": "Environment read from invariant latents (chance 1/13)",
    "invariant": "True invariant latents read from found ones, R²",
    "mcc": "Found responsive latents against true ones, MCC",
    "programs": "Environments given to the right latent, share (chance 1/4)",
    "programs, prior": "The same, from effects under the prior",
    "edges": "Correlation of found with true edges",
    "largest": "Largest edge found (true: {true})",
    "latents, seeds": "Two seeds: matched latents, mean correlation",
    "unmatched, seeds": "Two seeds: latents not matched to each other",
    "programs, seeds": "Two seeds: programs, adjusted Rand index",
    "edges, seeds": "Two seeds: correlation of edges",
}
"""Key -> words. Those of one seed compare with the truth, those of two seeds need none."""


def make(to: Path = DEPOSIT, seeds: int = SEEDS, epochs: int = EPOCHS) -> Iterator[str]:
    """Train every arm from every seed on world 0, compare with the truth and with each other, and store."""
    world, rows = World.of(0), []
    for name in SHOWN:
        arm, found, parts = replace(ARMS[name], epochs=epochs), [], []
        for seed in range(seeds):
            model, _ = fit(replace(world, seed=seed), arm)
            against, *part = _read(model, world)
            rows += [(name, measure, seed, value) for measure, value in against.items()]
            found.append(part[0])
            parts.append(part[1:])
            yield f"simulated, {name}, seed {seed}"
        size = found[0].shape[1]
        table = np.tile(np.eye(size), (seeds, seeds, 1, 1))
        for a, b in combinations(range(seeds), 2):
            table[a, b] = correlations(found[a], found[b])
        effects, edges = (np.stack(one) for one in zip(*parts, strict=True))
        for measure, values in Ensemble(table, effects, edges).agreement().items():
            rows += [(name, f"{measure}, seeds", pair, value) for pair, value in enumerate(values)]
    rows.append(("truth", "largest", 0, float(np.abs(truth(world)[1]).max())))
    parameters = {"arms": list(SHOWN), "seeds": seeds, "epochs": epochs, "world": 0}
    trained_table.write(pd.DataFrame(rows, columns=COLUMNS), to, "latents", NAME, parameters)


def _read(model, world: World) -> tuple[dict[str, float], np.ndarray, np.ndarray, np.ndarray]:
    """What was found against the truth; responsive latents of test cells, effects and edges as found."""
    from perturbook.models.perturbed_vae import reading

    train, env = world.train, world.cells.obs["env"].to_numpy()
    u, true_zi = np.vstack([np.zeros(model.n_perts), np.eye(model.n_perts)]), world.cells.obsm["zi"]
    found, told = reading.posterior(model, world.cells.X, u[env]), reading.prior(model, u)
    test = ~train
    means = _means(found.zn[test], env[test])
    spread = programs.total_spread(found.zn[test & (env == 0)], found.variance[test & (env == 0)])
    effects = programs.effects(means[1:], means[0], spread)
    of_prior = programs.effects(told.mean[1:], told.mean[0], told.spread[0])
    edges = programs.standardised(told.edges[0], spread)
    right_effects, right_edges = truth(world)
    matched = match(correlations(world.cells.obsm["zn"][test], found.zn[test]))

    def right(effect: np.ndarray) -> float:
        mine, true = (programs.program_map(one)[0] for one in (matched.columns(effect), right_effects))
        return float((mine == true).mean())

    against = {
        "environment": probe_labels(found.zi, env, test).score,
        "invariant": affine_r2((found.zi[train], found.zi[test]), (true_zi[train], true_zi[test])),
        "mcc": float(matched.strength.mean()),
        "programs": right(effects),
        "programs, prior": right(of_prior),
        "edges": edge_agreement(right_edges, matched.edges(edges)),
        "largest": float(np.abs(edges).max()),
    }
    return against, found.zn[test], effects, edges


def _means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    return np.stack([values[groups == one].mean(axis=0) for one in np.unique(groups)])


def truth(world: World) -> tuple[np.ndarray, np.ndarray]:
    """True effects `(environments, responsive)` and true standardised edges at control `(responsive, responsive)`.

    Means and spreads are those of the true latents of training cells.
    """
    env, zn = world.cells.obs["env"].to_numpy()[world.train], world.cells.obsm["zn"][world.train]
    means = _means(zn, env)
    spread = zn[env == 0].std(axis=0)
    edges = programs.standardised(world.cells.uns["truth"]["Lnn"][0], spread)
    return programs.effects(means[1:], means[0], spread), edges


def stored(path: Path = DEPOSIT) -> pd.DataFrame:
    """The deposit: one row per arm, measure and seed or pair of seeds; errors as of `trained_table.read`."""
    return trained_table.read(path, COLUMNS, "latents", NAME)


def verdict(stored: pd.DataFrame) -> str:
    """What the simulated world says: agreement between seeds is no sign of truth, or it is."""
    mean = stored.groupby(["arm", "measure"])["value"].mean()
    parts = []
    for name, words in (("twins", "counterfactual twins"), ("random", "random controls")):
        one = mean[name]
        parts.append(
            f"with {words}, two seeds agree in their latents at {number(one['latents, seeds'], 2)} and the latents with the truth at "
            f"{number(one['mcc'], 2)}, edges with each other at {number(one['edges, seeds'], 2)} and with the truth at {number(one['edges'], 2)}"
        )
    said = "; ".join(parts)
    more = mean["random"]["latents, seeds"] > mean["random"]["mcc"]
    tail = " What is stable need not be true." if more else ""
    found = stored.loc[(stored["measure"] == "largest") & (stored["arm"] != "truth"), "value"].max()
    edges = f" No edge of any training exceeds {number(found, 2)}, where the largest true one is {number(mean['truth']['largest'], 2)}."
    return f"On the simulated world, {said}.{tail}{edges}"
