"""The one interface of everything that turns a perturbation into a vector, and the registry of what the project offers.

An encoder is frozen: it is never trained and its parameters are never counted. What it must estimate, such as scales of
descriptors, it estimates on training perturbations alone. The vehicle is never encoded; models give it the zero vector (our
choice). Source: `scdca.md` section 3.
"""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Protocol

import numpy as np
import pandas as pd

from perturbook.errors import ConfigError
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
    settings: dict
    """What decides a vector beside perturbation and fit, such as options, seeds and checksums; plain values, for the manifest."""

    def fit(self, table: pd.DataFrame, names: Sequence[str]) -> "Encoder":
        """Estimate what must be estimated on the training perturbations `names` of `table`, and return itself.

        `table` is `uns["perturbations"]`: index name, columns such as smiles; empty where a data set has none. Raises
        NotApplicable where the perturbations have not what the encoder reads.
        """

    def encode(self, table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        """Vectors `(names, width)` float32; row i depends on name i alone. Raises NotApplicable naming what it cannot read."""


def whole_number(name: str, value: object) -> int:
    """An option that must be a whole number from 1; raises ConfigError for anything else."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ConfigError(f"{name} is {value!r}; give a whole number from 1.")
    return int(value)


def encoder(name: str, *, title: str) -> Callable[[type], type]:
    """Decorator: enter an encoder's class into `ENCODERS` under `name`."""

    def enter(made: type) -> type:
        made.name, made.title = name, title
        return ENCODERS.add(name, made)

    return enter
