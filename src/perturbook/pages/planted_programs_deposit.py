"""`results/planted-programs.csv`: scores of every planted program of every simulated world, one number per row.

Made by `perturbook train concepts-control planted`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook.errors import InputError
from perturbook.evaluation.intervals import Interval, bootstrap_difference, bootstrap_mean
from perturbook.evaluation.manifest import manifest, write_manifest
from perturbook.pages.concepts_control import PAGE
from perturbook.pages.planted_programs import COLUMNS, SEEDS, TOGETHER, study
from perturbook.pages.table import ROOT

DEPOSIT = ROOT / "results" / "planted-programs.csv"


def make(
    to: Path = DEPOSIT, seeds: Sequence[int] = range(SEEDS), together: Sequence[float] = TOGETHER
) -> Iterator[str]:
    """Run the study, store it, and say so line by line."""
    made = []
    for one in study(seeds, together):
        made.append(one)
        yield f"planted programs, world {one['seed'].iloc[0]}, together {one['together'].iloc[0]}"
    pd.concat(made).round(5).to_csv(to, index=False)
    settings = {"seeds": list(seeds), "together": list(together)}
    about = manifest(ROOT, page=PAGE, parameters=settings, data={})
    write_manifest(json.loads(json.dumps(about)), to.with_suffix(".json"))


def stored(path: Path = DEPOSIT) -> pd.DataFrame:
    """The deposit; raises InputError where it is missing or lacks a world."""
    again = f"make it with `perturbook train {PAGE} planted`."
    if not path.is_file():
        raise InputError(f"{path} is missing; {again}")
    rows = pd.read_csv(path)
    if list(rows.columns) != COLUMNS:
        raise InputError(
            f"{path} has columns {', '.join(rows.columns)}; expected {', '.join(COLUMNS)}; {again}"
        )
    if len(rows[["together", "seed"]].drop_duplicates()) != SEEDS * len(TOGETHER):
        raise InputError(f"{path} lacks a world; {again}")
    return rows


@dataclass(frozen=True)
class Compared:
    """Attribution against one other arm, paired over programs, whole worlds resampled."""

    own: Interval
    other: Interval
    difference: Interval


def compared(rows: pd.DataFrame, other: str, quantity: str = "auprc", arm: str = "attribution") -> Compared:
    """The means of `arm` and `other` and their paired difference over the programs of `rows`, by world."""
    wide = rows[rows["quantity"] == quantity].pivot(
        index=["together", "seed", "program"], columns="arm", values="value"
    )
    block = wide.index.get_level_values("seed").to_numpy()
    first, second = (wide[one].to_numpy(float) for one in (arm, other))
    return Compared(
        bootstrap_mean(first, block=block),
        bootstrap_mean(second, block=block),
        bootstrap_difference(first, second, block=block),
    )


def aim(rows: pd.DataFrame) -> bool:
    """Is attribution's AUPRC above that of DE, active against inactive, by an interval, over all worlds and programs?"""
    return bool(compared(rows, "de").difference.low > 0)


def stimulation(rows: pd.DataFrame) -> pd.DataFrame:
    """Program 0 of every world: test AUROC of its concept, and planted genes of the top 10 and AUPRC by kind of pair."""
    by = rows[rows["program"] == 0].set_index(["together", "seed", "arm", "quantity"])["value"]
    keys = [("concept", "auroc")]
    keys += [
        (arm, what) for arm in ("attribution", "shuffled", "active") for what in ("top 10", "auprc", "alike")
    ]
    made = {f"{arm} {what}": by.xs((arm, what), level=("arm", "quantity")) for arm, what in keys}
    return pd.DataFrame(made).astype(np.float64)
