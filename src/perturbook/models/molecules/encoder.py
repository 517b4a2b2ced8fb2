"""The one interface of everything that turns a perturbation into a vector, and the registry of what the project offers.

An encoder is frozen: it is never trained and its parameters are never counted. What it must estimate, such as scales of
descriptors, it estimates on training perturbations alone. The vehicle is never encoded; models give it the zero vector (our
choice). Source: `scdca.md` section 3.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from perturbook.registry import Registry

ENCODERS: Registry = Registry("encoder of perturbations")


class Encoder(Protocol):
    """Turns names of perturbations into vectors; made without arguments, or with options of its own."""

    name: str
    """As in the registry."""
    title: str
    """Name in tables and charts."""
    width: int
    """m, numbers per perturbation; known once fitted."""
    fitted_on: tuple[str, ...]
    """Perturbations that anything estimated was estimated on; all training ones, for the audit."""

    def fit(self, table: pd.DataFrame, names: Sequence[str]) -> "Encoder":
        """Estimate what must be estimated on the training perturbations `names` of `table`, and return itself.

        `table` is `uns["perturbations"]`: index name, columns such as smiles; empty where a data set has none. Raises
        NotApplicable where the perturbations have not what the encoder reads.
        """

    def encode(self, table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        """Vectors `(names, width)` float32; row i depends on name i alone. Raises NotApplicable naming what it cannot read."""


def encoder(name: str, *, title: str):
    """Decorator: enter an encoder's class into `ENCODERS` under `name`."""

    def enter(made: type) -> type:
        made.name, made.title = name, title
        return ENCODERS.add(name, made)

    return enter
