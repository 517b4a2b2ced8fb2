"""The identifiability study: are the latents of PerturbedVAE the true ones, and what does alignment do for it?

Every arm on every world of `simulated-latent`, scored on test cells against the true latents. One world per arm is trained
on the page; all worlds are read from `results/identifiability.csv`, which `perturbook train identifiability` makes.

Source: `perturbedvae.md` section 8.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import data
from perturbook.data.simulated_latent import NAME
from perturbook.errors import ConfigError, InputError
from perturbook.evaluation.latents import affine_r2, mean_correlation
from perturbook.pages import trained_table
from perturbook.pages.table import ROOT

PAGE = "identifiability"
DEPOSIT = ROOT / "results" / "identifiability.csv"
SCORES = ("mcc_nu", "r2_nu", "r2_iota")
COLUMNS = ["align", "pairing", "seed", *SCORES]
MODEL_SEED = 1000
"""Added to a world's seed for the model's. Source: `perturbedvae.md` section 8.3."""
WORLDS = 5
"""Worlds of the deposit, seeds from 0."""


@dataclass(frozen=True)
class Arm:
    """One way to align, or not to; the rest is the same for all."""

    title: str
    align: str
    pairing: str
    epochs: int = 80
    batch_size: int = 64
    switches: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What the deposit calls it."""
        return self.align, self.pairing


ARMS = {
    "none": Arm("No alignment", "none", "random"),
    "twins": Arm("Pairs, counterfactual twins", "pair", "counterfactual"),
    "random": Arm("Pairs, random controls", "pair", "random"),
    "centroid": Arm("Means of batches", "centroid", "random"),
    "independence": Arm("Independence", "independence", "random", 120, 256, {"alpha": 0.1}),
}
"""Name -> arm. Source: the table of `perturbedvae.md` section 8.3; 80 epochs instead of 60 are our choice."""
TRAINING = {"learning_rate": 2e-3, "final_share": 0.0}
"""Of every arm; the cosine behind a higher rate than the first prototype had is our choice."""


@dataclass(frozen=True)
class World:
    """One simulated world, divided into training and test."""

    seed: int
    cells: AnnData

    @classmethod
    def of(cls, seed: int) -> "World":
        """The world of a seed."""
        return cls(seed, data.load(NAME, seed=seed))

    @property
    def train(self) -> np.ndarray:
        """True where a cell is for training, `(cells,)`."""
        return (self.cells.obs["split"] == "train").to_numpy()

    def subset(self, keep: np.ndarray) -> "World":
        """The same world with some of its cells, `(cells,)` boolean."""
        return replace(self, cells=self.cells[keep].copy())


def fit(world: World, arm: Arm):
    """Train one arm on the training cells of a world; the model and its history."""
    from perturbook.models.perturbed_vae import PerturbedVAE  # torch loads where a model is trained
    from perturbook.models.perturbed_vae.batches import Cells
    from perturbook.models.perturbed_vae.training import train

    adata, chosen, seed = world.cells, world.train, MODEL_SEED + world.seed
    u, environment = adata.obsm["u"], adata.obs["env"].to_numpy()
    codes = np.vstack([np.zeros(u.shape[1]), np.eye(u.shape[1])])
    cells = Cells(
        adata.X[chosen],
        codes,
        environment[chosen],
        np.zeros(chosen.sum(), int),
        twins=adata.layers["x_twin"][chosen],
        pairing=arm.pairing,
    )
    sizes = {"d_nu": adata.obsm["zn"].shape[1], "d_iota": adata.obsm["zi"].shape[1]}
    model = PerturbedVAE(adata.n_vars, u.shape[1], seed, align=arm.align, **sizes, **arm.switches)
    fixed = {"epochs": arm.epochs, "batch_size": arm.batch_size, "seed": seed}
    return model, train(model, cells, **fixed, **TRAINING)


def latents(model, world: World) -> tuple[np.ndarray, np.ndarray]:
    """Found responsive `(cells, responsive)` and invariant latents `(cells, invariant)` of all cells: posterior means."""
    import torch

    with torch.no_grad():
        found = model.latents(
            torch.from_numpy(world.cells.X), torch.from_numpy(world.cells.obsm["u"]).float()
        )
    return tuple(one.numpy() for one in found)


def score(model, world: World) -> dict[str, float]:
    """Scores on test cells.

    Returns:
        mcc_nu, r2_nu and r2_iota of found against true latents of the same kind, and `leak`: R2 of the true invariant
        latents from the found responsive ones. Source: `perturbedvae.md` section 8.2.
    """
    chosen, true = world.train, world.cells.obsm
    found = dict(zip(("zn", "zi"), latents(model, world), strict=True))

    def r2(name: str, of: str) -> float:
        return affine_r2(*((values[chosen], values[~chosen]) for values in (found[name], true[of])))

    return {
        "mcc_nu": mean_correlation(found["zn"][~chosen], true["zn"][~chosen]),
        "r2_nu": r2("zn", "zn"),
        "r2_iota": r2("zi", "zi"),
        "leak": r2("zn", "zi"),
    }


def make(seeds: Sequence[int], arms: Sequence[str] = (), to: Path = DEPOSIT) -> Iterator[str]:
    """Train every arm on every world, store the scores, and say so line by line.

    Args:
        seeds: worlds.
        arms: some of `ARMS`; all when empty. Rows of the others are kept where the file has them.
        to: the deposit.

    Raises:
        ConfigError: an unknown arm.
    """
    if unknown := sorted(set(arms) - set(ARMS)):
        raise ConfigError(f"Unknown arm {unknown[0]!r}. Known: {', '.join(ARMS)}.")
    kept = pd.read_csv(to) if to.is_file() else pd.DataFrame(columns=COLUMNS)
    settings = {name: {k: v for k, v in vars(arm).items() if k != "title"} for name, arm in ARMS.items()}
    for name in arms or ARMS:
        arm, rows = ARMS[name], []
        for seed in seeds:
            world = World.of(seed)
            found = score(fit(world, arm)[0], world)
            rows.append({"align": arm.align, "pairing": arm.pairing, "seed": seed, **found})
            yield f"{name}, world {seed}: " + ", ".join(f"{key} {value:.3f}" for key, value in found.items())
        same = (kept["align"] == arm.align) & (kept["pairing"] == arm.pairing) & kept["seed"].isin(seeds)
        made = pd.DataFrame(rows)[COLUMNS]
        kept = made if kept[~same].empty else pd.concat([kept[~same], made], ignore_index=True)
        parameters = {
            "seeds": sorted(kept["seed"].unique().tolist()),
            "arms": settings,
            "training": TRAINING,
        }
        trained_table.write(kept, to, PAGE, NAME, parameters)


def stored(path: Path = DEPOSIT) -> pd.DataFrame:
    """The deposit: one row per arm and world, with the arm's title.

    Raises:
        InputError: the file is missing, holds other columns or an unknown arm, or was made from another simulator.
    """
    rows = trained_table.read(path, COLUMNS, PAGE, NAME)
    titles = {arm.key: arm.title for arm in ARMS.values()}
    keys = list(zip(rows["align"], rows["pairing"], strict=True))
    if unknown := sorted(set(keys) - set(titles)):
        raise InputError(
            f"{path} holds an arm that this book does not know: {' with '.join(unknown[0])} pairs."
        )
    return rows.assign(arm=[titles[key] for key in keys])
