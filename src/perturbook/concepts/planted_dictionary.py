"""Simulated embeddings that are made of known atoms: what an autoencoder of concepts should find.

Source: `concepts.md` section 13, check 5.
"""

from dataclasses import dataclass

import numpy as np

from perturbook.errors import ConfigError


@dataclass(frozen=True)
class Planted:
    """Simulated cells and what they are made of."""

    atoms: np.ndarray
    """Of norm 1, `(atoms, d)`."""
    codes: np.ndarray
    """How much of each atom is in a cell, `(cells, atoms)`."""
    points: np.ndarray
    """The cells, `(cells, d)` float32."""


def planted(
    seed: int,
    cells: int = 20_000,
    *,
    d: int = 32,
    atoms: int = 48,
    active: int = 3,
    noise: float = 0.02,
    gamma: float = 3.0,
) -> Planted:
    """Cells as sums of `active` atoms with weights between 0.5 and 1.5, noise, and an offset that all share.

    Args:
        seed: decides everything.
        cells, d, atoms, active: sizes; d is the number of coordinates.
        noise: standard deviation per coordinate.
        gamma: norm of the offset over the norm of the standard deviations.

    Raises:
        ConfigError: a size is below 1, or more atoms are active than there are.
    """
    if min(cells, d, atoms, active) < 1 or active > atoms:
        raise ConfigError(
            f"cells {cells}, d {d}, atoms {atoms}, active {active}: no such world can be drawn."
        )
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((atoms, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    which = rng.random((cells, atoms)).argsort(axis=1)[:, :active]
    codes = np.zeros((cells, atoms))
    np.put_along_axis(codes, which, rng.uniform(0.5, 1.5, (cells, active)), axis=1)
    points = codes @ directions + rng.normal(0, noise, (cells, d))
    points -= points.mean(axis=0)
    offset = rng.standard_normal(d)
    offset *= gamma * np.sqrt(points.var(axis=0).sum()) / np.linalg.norm(offset)
    return Planted(directions, codes, (points + offset).astype(np.float32))
