"""`shuffled`: every drug gets another drug's vector. What chemistry is worth is what this loses."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perturbook.data.schema import CONTROL
from perturbook.errors import NotApplicable
from perturbook.models.molecules.encoder import ENCODERS, Encoder, encoder


@encoder("shuffled", title="Another drug's vector")
class ShuffledEncoder:
    """A fixed derangement over all drugs of the table that have a structure, the same in training and at prediction.

    With `at_test_only` training sees the true vectors, and `encode` turns to the others once `permute` was called.
    Source: `scdca.md` sections 3 and 7, arms 5 and 6.
    """

    def __init__(self, of: str | Encoder = "morgan", seed: int = 0, at_test_only: bool = False):
        """Args: `of`, the encoder whose vectors change hands."""
        self.of = ENCODERS[of]() if isinstance(of, str) else of
        self.seed, self.turned = seed, not at_test_only

    def fit(self, table: pd.DataFrame, names: Sequence[str]) -> "ShuffledEncoder":
        """Fit the wrapped encoder on the true vectors of the training drugs; raises NotApplicable below two drugs."""
        self.of.fit(table, names)
        self.width, self.fitted_on = self.of.width, self.of.fitted_on
        smiles = table["smiles"].astype(object).fillna("")
        everyone = np.array(
            sorted(table.index[(smiles != "") & (table.index != CONTROL)].astype(str)), dtype=object
        )
        if len(everyone) < 2:
            raise NotApplicable("fewer than two drugs have a structure, so that none can get another's")
        ring = np.random.default_rng(self.seed).permutation(everyone)
        self.partner = dict(zip(ring, np.roll(ring, 1), strict=True))  # one ring: nobody keeps the own
        return self

    def permute(self) -> "ShuffledEncoder":
        """From here on give every drug another one's vector."""
        self.turned = True
        return self

    def encode(self, table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        """Vectors `(names, width)`; a name without a structure is refused by the wrapped encoder."""
        asked = [self.partner.get(name, name) for name in names] if self.turned else list(names)
        return self.of.encode(table, asked)
