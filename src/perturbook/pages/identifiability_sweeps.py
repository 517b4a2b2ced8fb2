"""Sweeps of the identifiability study: fewer environments, louder or quieter responses, weaker or stronger alignment.

Each sweep changes one thing of one or two arms on three worlds. All rows are read from `results/identifiability_sweeps.csv`,
which `perturbook train identifiability sweeps` makes.

Source: our choice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook.data.simulated_latent import NAME
from perturbook.data.simulated_latent_world import N_RESPONSIVE, Mixing
from perturbook.errors import ConfigError
from perturbook.pages import trained_table
from perturbook.pages.identifiability import ARMS, PAGE, SCORES, TRAINING, Arm, World, fit, score
from perturbook.pages.table import ROOT

DEPOSIT = ROOT / "results" / "identifiability_sweeps.csv"
COLUMNS = ["sweep", "value", "align", "pairing", "seed", *SCORES]
WORLDS = 3
EPOCHS = 40
"""Passes of every training: half of the study's, because there are many."""


def with_environments(world: World, arm: Arm, number: float) -> tuple[World, Arm]:
    """The control and the first `number` environments, for training and for the test."""
    return world.subset((world.cells.obs["env"] <= number).to_numpy()), arm


def with_response(world: World, arm: Arm, factor: float) -> tuple[World, Arm]:
    """The same latents, of which the responsive ones enter the mixing `factor` times as loud.

    Features are centred and scaled again as the simulator does it, so that weights of the loss mean the same.
    """
    truth = world.cells.uns["truth"]
    mixing = Mixing(**{one.name: truth[one.name] for one in fields(Mixing)})
    loud = np.ones(len(mixing.zs))
    loud[:N_RESPONSIVE] = 1 / factor
    raw = replace(mixing, zs=mixing.zs * loud, xm=np.zeros_like(mixing.xm), xs=1.0)
    cells = world.cells.copy()
    zi = cells.obsm["zi"]
    x, twin = (raw(np.hstack([zn, zi])) for zn in (cells.obsm["zn"], cells.obsm["zn_twin"]))
    centre, scale = x[world.train].mean(axis=0), x[world.train].std()
    cells.X, cells.layers["x_twin"] = (((one - centre) / scale).astype(np.float32) for one in (x, twin))
    return replace(world, cells=cells), arm


def with_kl(world: World, arm: Arm, weight: float) -> tuple[World, Arm]:
    """Another weight of both KL terms."""
    return world, replace(arm, switches={**arm.switches, "w_nu": weight, "w_iota": weight})


def with_weight(world: World, arm: Arm, alpha: float) -> tuple[World, Arm]:
    """Another weight of the alignment."""
    return world, replace(arm, switches={**arm.switches, "alpha": alpha})


@dataclass(frozen=True)
class Sweep:
    """One thing that is changed, the values it takes, and the arms it is changed for."""

    title: str
    axis: str
    values: tuple[float, ...]
    change: Callable[[World, Arm, float], tuple[World, Arm]]
    arms: tuple[str, ...] = ("twins",)


SWEEPS = {
    "environments": Sweep(
        "Environments", "Environments besides the control", (4, 6, 8, 10, 12), with_environments
    ),
    "response": Sweep(
        "Loudness of the response",
        "Responsive signal, times that of the study (log scale)",
        (0.125, 0.25, 0.5, 1, 2, 4),
        with_response,
    ),
    "weight": Sweep(
        "Weight of alignment",
        "Weight α (log scale)",
        (0.0005, 0.005, 0.05, 0.5, 5),
        with_weight,
        ("twins", "random"),
    ),
    "kl": Sweep(
        "Weight of the KL terms", "Weight of both KL terms (log scale)", (1e-4, 1e-3, 1e-2, 1e-1), with_kl
    ),
}


def make(
    names: Sequence[str] = (), to: Path = DEPOSIT, worlds: int = WORLDS, epochs: int = EPOCHS
) -> Iterator[str]:
    """Train every arm of a sweep at every value on every world, store the scores, and say so line by line.

    Args:
        names: some of `SWEEPS`; all when empty. Rows of the others are kept where the file has them.
        to: the deposit.
        worlds: how many, from seed 0.
        epochs: passes of every training.

    Raises:
        ConfigError: an unknown sweep.
    """
    if unknown := sorted(set(names) - set(SWEEPS)):
        raise ConfigError(f"Unknown sweep {unknown[0]!r}. Known: {', '.join(SWEEPS)}.")
    kept = pd.read_csv(to) if to.is_file() else pd.DataFrame(columns=COLUMNS)
    settings = {name: {"values": sweep.values, "arms": sweep.arms} for name, sweep in SWEEPS.items()}
    parameters = {"worlds": worlds, "epochs": epochs, "sweeps": settings, "training": TRAINING}
    for name in names or SWEEPS:
        sweep, rows = SWEEPS[name], []
        for arm in (replace(ARMS[one], epochs=epochs) for one in sweep.arms):
            for value in sweep.values:
                for seed in range(worlds):
                    world, changed = sweep.change(World.of(seed), arm, value)
                    found = score(fit(world, changed)[0], world)
                    about = {"sweep": name, "value": value, "align": arm.align, "pairing": arm.pairing}
                    rows.append({**about, "seed": seed, **{key: found[key] for key in SCORES}})
                yield f"{name} {value:g}, {arm.title}: {worlds} worlds"
        made, others = pd.DataFrame(rows)[COLUMNS], kept[kept["sweep"] != name]
        kept = made if others.empty else pd.concat([others, made], ignore_index=True)
        trained_table.write(kept, to, PAGE, NAME, parameters)


def stored(path: Path = DEPOSIT) -> pd.DataFrame:
    """The deposit, one row per sweep, value, arm and world, with the arm's title; errors as `trained_table.read`."""
    titles = {arm.key: arm.title for arm in ARMS.values()}
    rows = trained_table.read(path, COLUMNS, f"{PAGE} sweeps", NAME)
    return rows.assign(arm=[titles[key] for key in zip(rows["align"], rows["pairing"], strict=True)])


def means(rows: pd.DataFrame, sweep: str) -> pd.DataFrame:
    """Mean scores over worlds of one sweep: columns arm, value and one per score."""
    return (
        rows[rows["sweep"] == sweep].groupby(["arm", "value"], sort=False)[list(SCORES)].mean().reset_index()
    )
