"""`morgan`: the Morgan fingerprint of the parent molecule."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perturbook.models.chemistry import smiles_of
from perturbook.models.molecules.encoder import encoder, whole_number


@encoder("morgan", title="Morgan fingerprint")
class MorganEncoder:
    """Bits of radius 2, 0 or 1. Nothing is estimated. Source: `scdca.md` section 3; 1,024 bits keep the budget."""

    def __init__(self, n_bits: int = 1024):
        """Raises ConfigError for a number of bits below 1."""
        self.width = whole_number("n_bits", n_bits)
        self.settings = {"n_bits": self.width, "radius": 2}

    def fit(self, table: pd.DataFrame, names: Sequence[str]) -> "MorganEncoder":
        """Check that every training drug has a structure."""
        smiles_of(table, list(names))
        self.fitted_on = tuple(names)
        return self

    def encode(self, table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        """Fingerprints `(names, bits)`."""
        from perturbook.data.molecules import morgan

        return morgan(smiles_of(table, list(names)), self.width).astype(np.float32)
