"""Numbers that the latents page compares: agreement of seeds with the null, names of latents, targets beyond the null."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbook.evaluation.stability import Ensemble, permutation_p
from perturbook.pages.latents import ARMS
from perturbook.pages.latents_deposit import draws, ensemble

PAIRED, PERMUTED = "paired", "permuted"


@dataclass(frozen=True)
class Agreement:
    """One measure of agreement between two trainings."""

    pairs: np.ndarray
    """Of every pair of seeds with measured labels `(pairs,)`."""
    null: np.ndarray
    """Mean over the pairs of seeds of each permutation of the labels `(permutations,)`."""

    @property
    def p(self) -> float:
        """`permutation_p` of the mean over pairs; NaN where a value is undefined."""
        return permutation_p(float(np.mean(self.pairs)), self.null)

    @property
    def better(self) -> bool:
        """Whether the mean exceeds every value of the null."""
        return self.p <= 1 / (1 + len(self.null))


def agreement(rows: pd.DataFrame) -> dict[str, Agreement]:
    """The measures of `Ensemble.agreement`, and R2 of one seed's invariant block from another's as `block`, by measure."""
    ours, null = (_measures(rows, PAIRED, 0), [_measures(rows, PERMUTED, k) for k in draws(ARMS[PERMUTED])])
    return {
        key: Agreement(values, np.array([one[key].mean() for one in null])) for key, values in ours.items()
    }


def _measures(rows: pd.DataFrame, arm: str, draw: int) -> dict[str, np.ndarray]:
    mine = rows[(rows["arm"] == arm) & (rows["draw"] == draw) & (rows["quantity"] == "invariant block, R2")]
    return {**ensemble(rows, arm, draw=draw).agreement(), "block": mine["value"].to_numpy(float)}


def permuted(rows: pd.DataFrame, kind: str = "control") -> list[Ensemble]:
    """One ensemble per permutation of the labels; edges of `kind`."""
    return [ensemble(rows, PERMUTED, kind, draw) for draw in draws(ARMS[PERMUTED])]


def names(targets: list[str], effects: np.ndarray) -> list[str]:
    """Each latent by its number and the target with the largest effect on it, from effects `(targets, latents)`."""
    return [f"{j + 1} ({targets[k]})" for j, k in enumerate(np.nan_to_num(effects, nan=-1).argmax(axis=0))]


def largest_permuted(rows: pd.DataFrame) -> float:
    """The largest effect of any target in any training on permuted labels, control SD."""
    return float(rows.loc[(rows["arm"] == PERMUTED) & (rows["quantity"] == "effect, cells"), "value"].max())


def responding(rows: pd.DataFrame) -> dict[str, int]:
    """For each target, the seeds in which its largest effect exceeds `largest_permuted`."""
    mine = rows[(rows["arm"] == PAIRED) & (rows["quantity"] == "effect, cells")]
    largest = mine.groupby(["of", "seed"])["value"].max().unstack("seed")
    return (largest > largest_permuted(rows)).sum(axis=1).to_dict()
