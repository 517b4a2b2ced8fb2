"""Fresh worlds of gene pairs: the anchored residual on worlds that nobody had seen when its form was settled.

Its form was chosen while its scores on the worlds of `simulated-pairs` were in view. These are others, of another seed of the
same simulator, with the same split and the same weights by validation doubles; nothing was changed after they were scored.
All rows are read from `results/fresh_pairs.csv`, which `perturbook train additive` makes.

Source: our choice.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook import data, splits
from perturbook.data import pseudobulk
from perturbook.data.simulated_pairs import NAME
from perturbook.evaluation.intervals import Interval, bootstrap_difference
from perturbook.models import MODELS, Query, Training
from perturbook.pages import trained_table
from perturbook.pages.table import ROOT

DEPOSIT = ROOT / "results" / "fresh_pairs.csv"
PAGE = "additive"
SEED = 1
"""Of the simulator; the book's worlds are those of seed 0."""
FLOORS = ("additive_pairs", "additive_clipped", "additive_shrunken", "additive_ridge")
"""Source: `perturbedvae.md` section 16.1."""
OTHERS = ("boosted_anchors", "anchored_residual")
COLUMNS = ["world", "double", "interaction_class", *FLOORS, *OTHERS]


def make(
    to: Path = DEPOSIT, size: str = "default", models: Sequence[str] = (*FLOORS, *OTHERS)
) -> Iterator[str]:
    """Fit every model on every fresh world, store the RMSE of the mean of each test double, and say so world by world.

    Raises:
        LeakError: an audit failed.
    """
    cells = data.load(NAME, seed=SEED, size=size, expectation=False)
    classes = cells.uns.pop("truth")["doubles"]["interaction_class"]
    parts = []
    for world in sorted(cells.obs["context"].unique()):
        split = splits.split(cells, "additive_split", 0, context=world)
        splits.audit(cells, split)
        train = Training(cells[split.visible].copy(), frozenset(split.valid))
        query = Query(cells[split.query].copy(), split.conditions)
        measured = pseudobulk(cells[split.test])
        truth = measured.mean[measured.obs.index.get_indexer(split.conditions.index)]
        table = pd.DataFrame(
            {"world": world, "double": split.conditions["perturbation"].astype(str)},
            index=split.conditions.index,
        )
        table["interaction_class"] = classes.loc[table.index].to_numpy()
        for name in models:
            made = MODELS[name]().fit(train).predict(query).mean
            table[name] = np.sqrt(((made - truth) ** 2).mean(axis=1))
        parts.append(table)
        yield f"{world}: {len(table)} doubles"
    rows = pd.concat(parts)[["world", "double", "interaction_class", *models]]
    trained_table.write(rows, to, PAGE, NAME, {"seed": SEED, "size": size, "models": list(models)})


def stored(path: Path = DEPOSIT) -> pd.DataFrame:
    """The deposit: one row per test double with its planted class and the RMSE of every model; errors as `trained_table.read`."""
    return trained_table.read(path, COLUMNS, PAGE, NAME)


def differences(
    rows: pd.DataFrame, model: str, planted: bool, resamples: int = 10_000
) -> dict[str, Interval]:
    """RMSE of a model minus that of each floor, paired over doubles that are planted to interact, or over the additive ones.

    Below zero where the model is nearer.
    """
    mine = rows[(rows["interaction_class"] != "additive") == planted]
    values = mine[model].to_numpy()
    return {floor: bootstrap_difference(values, mine[floor].to_numpy(), n=resamples) for floor in FLOORS}
