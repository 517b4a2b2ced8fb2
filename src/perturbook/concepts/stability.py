"""Do several trainings find the same concepts? Atoms, or activations, matched one to one, and what chance would give.

A mean matched cosine says nothing by itself: of many random directions in few dimensions some always agree. Source:
`concepts.md` section 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from perturbook.concepts.atom_matching import beyond_chance, chance_cosine, matched_cosines
from perturbook.errors import ConfigError, ShapeError

ALIKE, SAME = 0.7, 0.9
"""Similarities above which two matched concepts count as alike, and as the same."""
Atoms = torch.Tensor | np.ndarray


@dataclass(frozen=True)
class Agreement:
    """How alike the concepts of two or more trainings are, over pairs of trainings."""

    means: np.ndarray
    """Mean similarity of matched concepts of each pair of trainings, `(pairs,)`."""
    alike: float
    """Share of matched concepts above 0.7, mean over pairs."""
    same: float
    """Share of matched concepts above 0.9, mean over pairs."""
    chance: float
    """Mean similarity where there is nothing to find, for the same numbers of concepts; mean over pairs."""

    @property
    def mean(self) -> float:
        """Over pairs."""
        return float(self.means.mean())

    @property
    def sd(self) -> float:
        """Standard deviation over pairs; NaN of a single one. Pairs share trainings, so it is no standard error."""
        return float(self.means.std(ddof=1)) if len(self.means) > 1 else float("nan")

    @property
    def beyond_chance(self) -> float:
        """`(observed - chance) / (1 - chance)`."""
        return beyond_chance(self.mean, self.chance)


def atom_agreement(
    first: Sequence[Atoms], second: Sequence[Atoms] | None = None, *, seed: int = 0
) -> Agreement:
    """Match the atoms of every pair of trainings by their cosine (Hungarian).

    Args:
        first: atoms `(n_latents, d)` of each training, of one space; the numbers of atoms may differ.
        second: other trainings; every one of `first` is then matched with every one of these. Where None, every pair
            within `first`.
        seed: of the random atoms behind the chance level.

    Raises:
        ConfigError: there is no pair.
        ShapeError, InputError: see `matched_cosines`.
    """

    def chance(a: Atoms, b: Atoms) -> float:
        sizes = sorted((len(a), len(b)))
        return drawn.setdefault(
            tuple(sizes), chance_cosine(a.shape[1], sizes[0], seed=seed, n_other=sizes[1])
        )

    drawn: dict[tuple[int, ...], float] = {}
    return _over_pairs(first, second, matched_cosines, chance)


def activation_agreement(
    first: Sequence[Atoms], second: Sequence[Atoms] | None = None, *, seed: int = 0
) -> Agreement:
    """Match concepts by the correlation of their activations on the same cells, where atoms lie in different spaces.

    A concept that is constant on these cells, such as a dead one, correlates with nothing and counts as 0. The chance
    level deals the cells of one side anew.

    Args:
        first: codes `(cells, n_latents)` of each training, all of the same cells in the same order.
        second: as in `atom_agreement`.
        seed: of the dealing.

    Raises:
        ConfigError: there is no pair. ShapeError: the cells differ in number, or codes have not two axes.
    """
    rng = np.random.default_rng(seed)

    def chance(a: Atoms, b: Atoms) -> float:
        return float(matched_correlations(a, np.asarray(b)[rng.permutation(len(b))]).mean())

    return _over_pairs(first, second, matched_correlations, chance)


def matched_correlations(a: Atoms, b: Atoms) -> np.ndarray:
    """Pearson correlations of the one-to-one matching of columns whose sum is the largest there is, descending.

    Args:
        a, b: codes `(cells, n_latents)` of the same cells.

    Raises:
        ShapeError: not two axes, or another number of cells.
    """
    a, b = (np.asarray(one, dtype=float) for one in (a, b))
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ShapeError(f"Codes are {a.shape} and {b.shape}; give (cells, n_latents) of the same cells.")
    a, b = (one - one.mean(axis=0) for one in (a, b))
    norms = [np.linalg.norm(one, axis=0) for one in (a, b)]
    a, b = (one / np.where(norm > 0, norm, 1) for one, norm in zip((a, b), norms, strict=True))
    correlations = a.T @ b
    rows, columns = linear_sum_assignment(correlations, maximize=True)
    return np.sort(correlations[rows, columns])[::-1]


def _over_pairs(first, second, similarity, chance) -> Agreement:
    pairs = list(combinations(first, 2) if second is None else product(first, second))
    if not pairs:
        raise ConfigError("Stability is over pairs of trainings; give two or more.")
    found = [similarity(a, b) for a, b in pairs]
    return Agreement(
        means=np.array([one.mean() for one in found]),
        alike=float(np.mean([(one > ALIKE).mean() for one in found])),
        same=float(np.mean([(one > SAME).mean() for one in found])),
        chance=float(np.mean([chance(a, b) for a, b in pairs])),
    )
