"""How alike the atoms of two dictionaries are, one to one, and how alike random ones would be.

Source: `concepts.md` section 7.
"""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from perturbook.errors import ConfigError, InputError, ShapeError


def matched_cosines(a: torch.Tensor | np.ndarray, b: torch.Tensor | np.ndarray) -> np.ndarray:
    """Cosines of the one-to-one matching of atoms whose sum is the largest there is (Hungarian), descending.

    Args:
        a, b: atoms `(n_latents, d)` of one space; the numbers of atoms may differ, then the larger keeps some unmatched.

    Returns:
        `(smaller number of atoms,)`.

    Raises:
        ShapeError: not two axes, or another d.
        InputError: an atom is 0 or not finite.
    """
    a, b = (_directions(one) for one in (a, b))
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"Atoms of {a.shape[1]} and of {b.shape[1]} numbers lie in different spaces.")
    cosines = a @ b.T
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    return np.sort(cosines[rows, columns])[::-1]


def chance_cosine(d: int, n_latents: int, seed: int = 0, draws: int = 1, n_other: int | None = None) -> float:
    """Mean matched cosine of two dictionaries of random unit atoms: what a stability must exceed.

    The second has `n_other` atoms, as many as the first where None.

    Raises:
        ConfigError: a number is below 1.
    """
    n_other = n_latents if n_other is None else n_other
    if min(d, n_latents, n_other, draws) < 1:
        raise ConfigError(
            f"d is {d}, n_latents {n_latents} and {n_other}, draws {draws}; each must be 1 or more."
        )
    rng = np.random.default_rng(seed)
    pairs = rng.standard_normal((draws, n_latents + n_other, d))
    return float(np.mean([matched_cosines(*np.split(pair, [n_latents])).mean() for pair in pairs]))


def beyond_chance(observed: float, chance: float) -> float:
    """Share of the way from chance to identity, `(observed - chance) / (1 - chance)`; NaN where chance is 1."""
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def _directions(atoms: torch.Tensor | np.ndarray) -> np.ndarray:
    atoms = atoms.detach().numpy() if isinstance(atoms, torch.Tensor) else np.asarray(atoms)
    if atoms.ndim != 2:
        raise ShapeError(f"Atoms have the shape {atoms.shape}; expected (n_latents, d).")
    norms = np.linalg.norm(atoms.astype(float), axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and norms.all()):
        raise InputError(
            f"{int((~(norms > 0) | ~np.isfinite(norms)).sum())} atoms have no direction; leave them out."
        )
    return atoms / norms
