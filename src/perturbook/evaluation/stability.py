"""Do two trainings of one model find the same? Latents matched up to order and sign, then programs and edges compared.

Source: `perturbedvae.md` section 12.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

from perturbook.errors import ShapeError
from perturbook.evaluation.programs import pruned

SURE = 0.8
"""Share of trainings in which an edge must occur to count as stable."""


@dataclass(frozen=True)
class Matching:
    """Which latent of another training is which of the reference."""

    order: np.ndarray
    """Latent of the other training for each of the reference `(latents,)`."""
    sign: np.ndarray
    """1 or -1, the sign of their correlation `(latents,)`."""
    strength: np.ndarray
    """Their absolute correlation `(latents,)`."""

    def edges(self, other: np.ndarray) -> np.ndarray:
        """Edges of the other training `(latents, latents)`, in order and sign of the reference."""
        return other[np.ix_(self.order, self.order)] * np.outer(self.sign, self.sign)

    def rest(self, correlation: np.ndarray) -> float:
        """Mean absolute correlation of all pairs that are not matched; NaN for a single latent."""
        other = np.ones(correlation.shape, bool)
        other[np.arange(len(other)), self.order] = False
        return float(np.abs(correlation[other]).mean()) if other.any() else np.nan

    def columns(self, other: np.ndarray) -> np.ndarray:
        """Columns of the other training `(rows, latents)`, in the order of the reference, without sign."""
        return other[:, self.order]


def correlations(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson correlation of every latent with every other, `(reference latents, other latents)`; 0 for a constant.

    Raises:
        ShapeError: the arrays `(cells, latents)` differ in cells.
    """
    if len(reference) != len(other):
        raise ShapeError(f"latents of {len(reference)} and of {len(other)} cells; give the same cells.")
    parts = [one - one.mean(axis=0) for one in (np.asarray(reference, float), np.asarray(other, float))]
    norms = [np.linalg.norm(one, axis=0) for one in parts]
    a, b = (one / np.where(norm > 0, norm, 1) for one, norm in zip(parts, norms, strict=True))
    return a.T @ b


def match(correlation: np.ndarray) -> Matching:
    """The one-to-one matching with the largest sum of absolute correlations, of a square table of them.

    Raises:
        ShapeError: the table is not square.
    """
    if correlation.ndim != 2 or correlation.shape[0] != correlation.shape[1]:
        raise ShapeError(f"correlations are {correlation.shape}; as many latents on both sides are needed.")
    rows, order = linear_sum_assignment(-np.abs(correlation))
    found = correlation[rows, order]
    return Matching(order, np.where(found < 0, -1, 1), np.abs(found))


def adjusted_rand(first: np.ndarray, second: np.ndarray) -> float:
    """Adjusted Rand index of two partitions `(targets,)`: 1 if equal up to names, 0 on average by chance.

    NaN where both put all targets into one group: there is nothing to agree on. Source: Hubert and Arabie 1985.
    """
    from sklearn.metrics import adjusted_rand_score  # slow to import

    if len(set(first)) == len(set(second)) == 1:
        return np.nan
    return float(adjusted_rand_score(first, second))


def edge_frequency(edges: np.ndarray, threshold: float) -> np.ndarray:
    """Share of trainings with each edge above the threshold, of matched edges `(trainings, latents, latents)`."""
    return np.mean([pruned(one, threshold) for one in edges], axis=0)


def edge_agreement(reference: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two matched tables of edges over all ordered pairs of latents; NaN where one does not vary."""
    apart = ~np.eye(len(reference), dtype=bool)
    a, b = (one[apart] - one[apart].mean() for one in (reference, other))
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / size) if size > 0 else np.nan


@dataclass(frozen=True)
class Ensemble:
    """The same model trained from several seeds on the same cells."""

    correlation: np.ndarray
    """Of responsive latents over the same cells `(seeds, seeds, latents, latents)`."""
    effects: np.ndarray
    """`programs.effects` of each seed `(seeds, targets, latents)`."""
    edges: np.ndarray
    """Standardised edges of each seed `(seeds, latents, latents)`."""

    def matched_edges(self, reference: int = 0) -> np.ndarray:
        """Edges of all seeds in order and sign of the reference `(seeds, latents, latents)`."""
        return np.stack([match(self.correlation[reference, s]).edges(w) for s, w in enumerate(self.edges)])

    def agreement(self) -> dict[str, np.ndarray]:
        """Measures for every pair of seeds, each `(pairs,)`, NaN where one is not defined for a pair.

        Returns:
            latents: mean absolute correlation of matched latents; unmatched: that of all other pairs of latents, high where
            they are all one direction, so that matching says little; programs: `adjusted_rand`; edges: `edge_agreement`.
        """
        programs = np.nan_to_num(self.effects, nan=-1).argmax(axis=2)
        made: dict[str, list[float]] = {"latents": [], "unmatched": [], "programs": [], "edges": []}
        for a, b in combinations(range(len(self.effects)), 2):
            found = match(self.correlation[a, b])
            made["latents"].append(float(found.strength.mean()))
            made["unmatched"].append(found.rest(self.correlation[a, b]))
            made["programs"].append(adjusted_rand(programs[a], programs[b]))
            made["edges"].append(edge_agreement(self.edges[a], found.edges(self.edges[b])))
        return {name: np.array(values) for name, values in made.items()}


def permutation_p(value: float, null: np.ndarray) -> float:
    """Share of the null, the value itself counted in, that is at least as large as the value; NaN if one is undefined.

    Source: Phipson and Smyth 2010, doi 10.2202/1544-6115.1585.
    """
    if np.isnan(value) or np.isnan(null).any() or not len(null):
        return np.nan
    return float((1 + (np.asarray(null) >= value).sum()) / (1 + len(null)))
