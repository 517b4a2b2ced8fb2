"""`rdkit`: all descriptors of the installed RDKit, on a scale that a network can read."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version

import numpy as np
import pandas as pd

from perturbook.errors import NotApplicable
from perturbook.models.chemistry import smiles_of
from perturbook.models.molecules.encoder import encoder

LARGEST = 5.0
"""Standardised values are clipped here, because some descriptors of a new drug lie far outside those of training."""


@lru_cache(maxsize=4096)
def descriptors(smiles: str) -> np.ndarray:
    """All descriptors of the parent molecule, `(descriptors,)` float64; NaN where RDKit has no value."""
    from rdkit import rdBase
    from rdkit.Chem import Descriptors

    from perturbook.data.molecules import parent, parse

    with rdBase.BlockLogs():
        molecule = parse(parent(smiles, smiles))
        return np.array([float(of(molecule)) for _, of in Descriptors.descList])


@encoder("rdkit", title="RDKit descriptors")
class RDKitEncoder:
    """sign(x) log(1 + |x|), missing values by the median, standardised, clipped to +-5; constant columns are zero.

    Medians, means and spreads are those of the training drugs. Source: `scdca.md` section 3.
    """

    @property
    def settings(self) -> dict:
        """The version of RDKit, which decides which descriptors there are."""
        return {"rdkit": version("rdkit")}

    def fit(self, table: pd.DataFrame, names: Sequence[str]) -> "RDKitEncoder":
        """Estimate median, mean and spread of each descriptor; raises NotApplicable without a training drug."""
        names = sorted(set(names))  # so that sums do not depend on the order given
        if not names:
            raise NotApplicable("descriptors have no scale without a training drug")
        values = self._logged(table, names)
        self.width, self.fitted_on = values.shape[1], tuple(names)
        known = np.isfinite(values).any(axis=0)
        self.median = np.zeros(self.width)
        self.median[known] = np.nanmedian(values[:, known], axis=0)
        filled = np.where(np.isfinite(values), values, self.median)
        self.mean, spread = filled.mean(axis=0), filled.std(axis=0)
        self.scale = np.where(spread > 1e-12, spread, np.inf)
        return self

    def encode(self, table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        """Descriptors `(names, descriptors)` on the scale of training."""
        if not len(names):
            return np.zeros((0, self.width), np.float32)
        values = self._logged(table, names)
        filled = np.where(np.isfinite(values), values, self.median)
        return np.clip((filled - self.mean) / self.scale, -LARGEST, LARGEST).astype(np.float32)

    @staticmethod
    def _logged(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        values = np.stack([descriptors(one) for one in smiles_of(table, list(names))])
        return np.sign(values) * np.log1p(np.abs(values))
