"""`Split`: which cells a model may learn from, which it is asked about, and what it is shown when asked."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Split:
    """One partition of a data set under one setting.

    `train`, `valid` and `test` are disjoint; treated cells of `test` are only ever used to score.
    """

    setting: str
    """Name of the generalization setting, a key of `SETTINGS`."""
    seed: int
    """Seed of every random choice below."""
    options: dict[str, Any]
    """What was asked for and what was drawn: k, mode, fold, support, ..."""
    held_out: tuple[str, ...]
    """Labels held out: a context, drugs, genes, doubles, or "context | perturbation" pairs."""
    train: np.ndarray
    """obs names a model learns from, controls included."""
    valid: np.ndarray
    """obs names carved from training in the way test was; visible to a model for choosing itself."""
    test: np.ndarray
    """obs names of the treated cells that predictions are scored against."""
    query: np.ndarray
    """obs names of the control cells shown at prediction time; never a treated cell."""
    reference: np.ndarray
    """Half of `query`, kept as the reference of the truth where truth and prediction must not share controls."""
    conditions: pd.DataFrame = field(repr=False)
    """Conditions to predict; index condition key, columns context, perturbation, dose_um; the settings of gene pairs
    add stratum: how many of the genes training has seen, such as "seen 1"."""
    blinded: bool = False
    """True where `reference` has been taken out of `train`, `valid` and `query`."""

    def blind(self) -> "Split":
        """Return the split whose models never see the `reference` controls.

        A prediction made under it may be compared with a truth referenced to those controls without sharing noise.
        """
        kept = {
            part: np.setdiff1d(getattr(self, part), self.reference) for part in ("train", "valid", "query")
        }
        return replace(self, blinded=True, **kept)

    @property
    def visible(self) -> np.ndarray:
        """obs names of everything a model may be fitted on: `train` and `valid`, sorted."""
        return np.union1d(self.train, self.valid)
