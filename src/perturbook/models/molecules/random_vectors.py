"""`random`: one fixed random vector per name. What chemistry adds is the difference to it."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from perturbook.models.molecules.encoder import encoder, whole_number


@encoder("random", title="One random vector per perturbation")
class RandomEncoder:
    """Standard normal numbers, a function of seed and name alone: seen perturbations can be told apart, nothing else.

    Also what stands for a perturbation without a structure, such as a cytokine. Source: `scdca.md` section 3.
    """

    def __init__(self, width: int = 64, seed: int = 0):
        """Raises ConfigError for a width below 1."""
        self.width, self.seed = whole_number("width", width), seed
        self.settings = {"width": self.width, "seed": seed}

    def fit(self, table: pd.DataFrame, names: Sequence[str]) -> "RandomEncoder":
        """Nothing is estimated."""
        self.fitted_on = tuple(names)
        return self

    def encode(self, table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
        """Vectors `(names, width)`."""
        return (
            np.stack([self._draw(name) for name in names])
            if len(names)
            else np.zeros((0, self.width), np.float32)
        )

    def _draw(self, name: str) -> np.ndarray:
        key = int.from_bytes(hashlib.sha256(f"{self.seed} {name}".encode()).digest()[:8], "big")
        return np.random.default_rng(key).normal(size=self.width).astype(np.float32)
