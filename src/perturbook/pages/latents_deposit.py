"""`results/latents.csv.gz`: what was read from every arm and seed of the latents study, one number per row.

`perturbook train latents` makes it and `results/latents-simulated.csv` (`latents_simulated.py`).
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook.data.norman2019_mini import NAME
from perturbook.errors import ConfigError, InputError
from perturbook.evaluation.latents import affine_r2
from perturbook.evaluation.stability import Ensemble, correlations
from perturbook.pages import latents_simulated, trained_table
from perturbook.pages.latents import ARMS, EPOCHS, PAGE, Arm, Reading, fit, probes, read
from perturbook.pages.latents_screen import SETS, Screen
from perturbook.pages.table import ROOT

DEPOSIT = ROOT / "results" / "latents.csv.gz"
COLUMNS = ["arm", "draw", "seed", "quantity", "of", "to", "value"]


def make(arms: Sequence[str] = (), to: Path = DEPOSIT, epochs: int = EPOCHS) -> Iterator[str]:
    """Train and read every arm, or those named, store what was read, and say so line by line.

    Args:
        arms: some of `ARMS`, or "simulated" for the simulated world; all when empty. Rows of the others are kept.
        to: the deposit.
        epochs: passes over the cells.

    Raises:
        ConfigError: an unknown arm. DataUnavailable: the cells cannot be had.
    """
    known = [*ARMS, "simulated"]
    if unknown := sorted(set(arms) - set(known)):
        raise ConfigError(f"Unknown arm {unknown[0]!r}. Known: {', '.join(known)}.")
    chosen = arms or known
    if real := [name for name in ARMS if name in chosen]:
        screen = Screen.load()
        kept = pd.read_csv(to) if to.is_file() else pd.DataFrame(columns=COLUMNS)
        for name in real:
            parts = []
            for draw in range(1, ARMS[name].draws + 1) or [0]:
                parts.append(_trained(screen.permuted(draw), name, draw, epochs))
                yield f"{name}, permutation {draw}: {ARMS[name].seeds} seeds"
            others = kept[kept["arm"] != name]
            kept = (
                pd.concat([others, *parts], ignore_index=True)
                if len(others)
                else pd.concat(parts, ignore_index=True)
            )
            settings = {
                key: {k: v for k, v in vars(arm).items() if k != "title"} for key, arm in ARMS.items()
            }
            trained_table.write(kept, to, PAGE, NAME, {"arms": settings, "epochs": epochs})
    if "simulated" in chosen:
        yield from latents_simulated.make(to.with_name("latents-simulated.csv"))


def _trained(screen: Screen, name: str, draw: int, epochs: int) -> pd.DataFrame:
    """All rows of one arm under one labelling."""
    arm = ARMS[name]
    readings = [read(fit(screen, arm, seed, epochs), screen) for seed in range(arm.seeds)]
    made = []
    for seed, one in enumerate(readings):
        rows = [*_rows(one), *([] if draw else _probed(screen, one, with_pca=name == "paired" and seed == 0))]
        made.append(pd.DataFrame(rows, columns=["quantity", "of", "to", "value"]).assign(seed=seed))
    for a, b in combinations(range(len(readings)), 2):
        made.append(
            pd.DataFrame(_compared(screen, readings[a], readings[b], b), columns=COLUMNS[3:]).assign(seed=a)
        )
    return pd.concat(made).assign(arm=name, draw=draw)[COLUMNS].round({"value": 4})


def _rows(one: Reading) -> Iterator[tuple[str, object, object, float]]:
    for of, effects in one.effects.items():
        for target, row in zip(one.targets, effects, strict=True):
            yield from ((f"effect, {of}", target, j + 1, value) for j, value in enumerate(row))
    for kind, edges in one.edges.items():
        for i, j in zip(*np.tril_indices(len(edges), -1), strict=True):
            yield f"edge, {kind}", j + 1, i + 1, edges[i, j]
    for block, nats in zip(("responsive", "invariant"), one.information, strict=True):
        yield from (("nats", block, j + 1, value) for j, value in enumerate(nats))
    yield from (("singular value", rank + 1, "", value) for rank, value in enumerate(one.singular))


def _probed(screen: Screen, one: Reading, with_pca: bool) -> Iterator[tuple[str, object, object, float]]:
    for (points, target), probe in probes(screen, one).items():
        if with_pca or not points.startswith("PCA"):
            yield "probe", points, target, probe.score
            yield "probe, null", points, target, probe.bounds[1]
    if with_pca:
        counts = {name: screen.measured(genes).sum() for name, genes in SETS.items()}
        for name, count in {**counts, "genes": screen.x.shape[1]}.items():
            yield "measured", name, "", count


def _compared(
    screen: Screen, a: Reading, b: Reading, name: int
) -> Iterator[tuple[str, object, object, float]]:
    """Latents of two seeds over held-out cells; `name` is the second seed."""
    held = screen.held
    table = correlations(a.zn[held], b.zn[held])
    for (i, j), value in np.ndenumerate(table):
        yield f"correlation with seed {name}", i + 1, j + 1, value
    blocks = [tuple(one.zi[part] for part in (~held, held)) for one in (a, b)]
    yield "invariant block, R2", name, "", (affine_r2(*blocks) + affine_r2(*blocks[::-1])) / 2


def stored(path: Path = DEPOSIT) -> pd.DataFrame:
    """The deposit; raises InputError where it is missing, incomplete, of an unknown arm, or made from other cells."""
    rows = trained_table.read(path, COLUMNS, PAGE, NAME)
    wanted = {
        (name, draw, seed) for name, arm in ARMS.items() for draw in draws(arm) for seed in range(arm.seeds)
    }
    found = set(rows[["arm", "draw", "seed"]].drop_duplicates().itertuples(index=False, name=None))
    if found != wanted:
        arm, draw, seed = sorted(found ^ wanted)[0]
        said = "lacks" if (arm, draw, seed) in wanted else "holds, without need,"
        raise InputError(
            f"{path} {said} arm {arm}, permutation {draw}, seed {seed}; make it with `perturbook train {PAGE}`."
        )
    return rows


def draws(arm: Arm) -> range:
    """Numbers of the labellings of an arm; 0 is the one that was measured."""
    return range(1, arm.draws + 1) if arm.draws else range(1)


def ensemble(rows: pd.DataFrame, arm: str, kind: str = "control", draw: int = 0) -> Ensemble:
    """All seeds of one arm under one labelling, from the rows of the deposit; edges of `kind`, control or averaged."""
    mine = rows[(rows["arm"] == arm) & (rows["draw"] == draw)]
    by = {name: part for name, part in mine.groupby("quantity")}
    effects = np.stack([table.to_numpy() for table in _squares(by["effect, cells"])])
    seeds, size = len(effects), effects.shape[2]
    edges, correlation = np.zeros((seeds, size, size)), np.tile(np.eye(size), (seeds, seeds, 1, 1))
    one = by[f"edge, {kind}"]
    edges[one["seed"], one["to"].astype(int) - 1, one["of"].astype(int) - 1] = one["value"]
    for a, b in combinations(range(seeds), 2):
        part = by[f"correlation with seed {b}"]
        (table,) = _squares(part[part["seed"] == a])
        correlation[a, b], correlation[b, a] = table.to_numpy(), table.to_numpy().T
    return Ensemble(correlation, effects, edges)


def _squares(part: pd.DataFrame) -> list[pd.DataFrame]:
    """A table of `of` x `to` for each seed, in the order of the rows."""
    return [
        mine.pivot(index="of", columns="to", values="value").reindex(
            index=mine["of"].unique(), columns=mine["to"].unique()
        )
        for _, mine in part.groupby("seed")
    ]
