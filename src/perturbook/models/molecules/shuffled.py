"""`shuffled`: every perturbation gets another one's vector. What chemistry is worth is what this loses."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perturbook.data.findings import three
from perturbook.data.schema import CONTROL
from perturbook.errors import InputError, NotApplicable
from perturbook.models.molecules.encoder import ENCODERS, Encoder, encoder

TRIES = 1000
"""Rings that are drawn before two perturbations of one structure are called inseparable."""


@encoder("shuffled", title="Another drug's vector")
class ShuffledEncoder:
    """A fixed derangement over all perturbations that have a vector, the same in training and at prediction.

    With `at_test_only` training sees the true vectors, and `encode` turns to the others once `permute` was called. Nobody
    gets the vector of the own structure, such as that of another salt (our choice).
    Source: `scdca.md` sections 3 and 7, arms 5 and 6.
    """

    def __init__(
        self,
        of: str | Encoder = "morgan",
        seed: int = 0,
        at_test_only: bool = False,
        names: Sequence[str] = (),
    ):
        """Wrap an encoder.

        Args:
            of: the encoder whose vectors change hands, or its name.
            seed: decides who gets whose.
            at_test_only: arm 6, see above.
            names: perturbations that will be asked about, where the table of perturbations does not list them, such as genes.
        """
        self.of = ENCODERS[of]() if isinstance(of, str) else of
        self.seed, self.at_test_only, self.turned = seed, at_test_only, not at_test_only
        self._names = tuple(names)

    @property
    def settings(self) -> dict:
        """The wrapped encoder with its settings, the seed, and whether training sees true vectors."""
        inner = {"of": self.of.name, "of_settings": self.of.settings}
        return inner | {"seed": self.seed, "at_test_only": self.at_test_only}

    def fit(self, table: pd.DataFrame, names: Sequence[str]) -> "ShuffledEncoder":
        """Fit the wrapped encoder on the true vectors of the training perturbations, and draw who gets whose.

        Raises:
            NotApplicable: fewer than two perturbations have a vector, or none can get that of another structure.
        """
        self.of.fit(table, names)
        self.width, self.fitted_on = self.of.width, self.of.fitted_on
        listed = {str(name) for name in (*table.index, *self._names, *names)} - {CONTROL}
        everyone = np.array([name for name in sorted(listed) if self._has_vector(table, name)], dtype=object)
        if len(everyone) < 2:
            raise NotApplicable("fewer than two perturbations have a vector, so that none can get another's")
        structure = _structures(table, everyone)
        draws = np.random.default_rng(self.seed)
        for _ in range(TRIES):
            order = draws.permutation(len(everyone))  # one ring: nobody keeps the own
            giver = np.roll(order, 1)
            if (structure[order] != structure[giver]).all():
                break
        else:
            raise NotApplicable("too many drugs share one structure for each to get the vector of another")
        self.partner = dict(zip(everyone[order], everyone[giver], strict=True))
        return self

    def _has_vector(self, table: pd.DataFrame, name: str) -> bool:
        try:
            self.of.encode(table, [name])
        except (NotApplicable, InputError):
            return False
        return True

    def permute(self) -> "ShuffledEncoder":
        """From here on give every perturbation another one's vector."""
        self.turned = True
        return self

    def encode(self, table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        """Vectors `(names, width)`.

        Raises:
            NotApplicable: a name has no vector, or was not known at `fit`, so that nobody's vector is meant for it.
        """
        own = self.of.encode(table, names)  # the wrapped encoder refuses in its own words
        if not self.turned:
            return own
        if new := [name for name in names if name not in self.partner]:
            raise NotApplicable(
                f"{three(new)} had no part in the shuffling; list all perturbations in the table or by names="
            )
        return self.of.encode(table, [self.partner[name] for name in names])


def _structures(table: pd.DataFrame, names: np.ndarray) -> np.ndarray:
    """What a perturbation shares with another name of the same molecule; its own name where nothing is known."""
    if "inchikey14" not in table:
        return names
    found = table["inchikey14"].reindex(names)
    return np.array(
        [key if isinstance(key, str) and key else name for name, key in found.items()], dtype=object
    )
