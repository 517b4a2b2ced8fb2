"""`Truth`: everything about the measured cells that scores need, once per page and seed, without any cell in it."""

from dataclasses import dataclass, field
from functools import cached_property
from zlib import crc32

import numpy as np
import pandas as pd

from perturbook.data.gene_labels import genes_of
from perturbook.evaluation.differential import welch_t
from perturbook.evaluation.distribution import median_distance
from perturbook.evaluation.weighted import effect_weights, rest_moments

N_HALVES, MAX_CELLS, N_DEG = 20, 200, 50


@dataclass(frozen=True)
class Truth:
    """Measured profiles of the conditions a page asks about. Means are log1p of counts per 10k unless `scale` differs."""

    obs: pd.DataFrame
    """Index condition key; context, perturbation, dose_um, fold, n_cells, kind, and stratum where the setting has one."""
    genes: np.ndarray
    """Panel `(genes,)`."""
    mean: np.ndarray
    """`(conditions, genes)`."""
    variance: np.ndarray
    """Unbiased, `(conditions, genes)`; NaN for one cell."""
    halves: np.ndarray
    """Mean of half A minus `mean`, of 20 random halvings, `(conditions, 20, genes)`; half A has n // 2 cells."""
    q: np.ndarray
    """Adjusted p-value (Welch, Benjamini-Hochberg) of half A of halving 0 against the shown controls, as `mean`."""
    significant: dict[str, np.ndarray]
    """1 where cells differ from all controls (rank-sum, adjusted p below 0.05), 0 where not, -1 where untested, as `mean`;
    for "all" cells, and halves "a" and "b" of halving 0."""
    deg: dict[str, np.ndarray]
    """Gene positions by |Welch t|, strongest first, `(conditions, <= 50 and the perturbed genes)`, -1 where there are
    none, for "split_half", "test_truth" and "train_visible"."""
    coordinates: np.ndarray
    """PCA coordinates of up to 200 cells, `(conditions, cells, components)`, NaN where there are fewer."""
    pca_mean: np.ndarray
    """`(genes,)`."""
    loadings: np.ndarray
    """`(genes, components)`; fitted on the truth alone, the same for all methods."""
    controls: dict[str, np.ndarray]
    """Per tested context: mean, mean_a (shown to models), mean_b (kept for the truth), halves, n, n_a, variance.
    Halving 0 is the one into shown and kept; half A of the others has n // 2 cells."""
    others: dict[str, np.ndarray]
    """Mean, variance and n of all treated cells whose condition is not tested, per tested context as `controls`."""
    contexts: np.ndarray
    """Contexts in the order of `controls`, sorted."""
    centroid: np.ndarray
    """Mean of the training perturbation centroids per fold, `(folds, genes)`."""
    facts: dict = field(default_factory=dict)
    """page, data set, setting, seed, scale, value_kind, panel_hash, synthetic."""

    @property
    def n_components(self) -> int:
        """Number of principal components."""
        return self.loadings.shape[1]

    def project(self, cells: np.ndarray) -> np.ndarray:
        """Coordinates of profiles `(cells, genes)` in the PCA of the truth, `(cells, components)`."""
        return (np.asarray(cells, dtype=float) - self.pca_mean) @ self.loadings

    @cached_property
    def context_rows(self) -> np.ndarray:
        """Row of each condition's context in `controls` and `others`, `(conditions,)`."""
        return np.searchsorted(self.contexts, self.obs["context"].astype(str).to_numpy())

    @cached_property
    def groups(self) -> np.ndarray:
        """Conditions told apart by retrieval: same fold, context and dose, `(conditions,)`."""
        keys = ["fold", "context", "dose_um"]
        return self.obs.groupby(keys, dropna=False, observed=True).ngroup().to_numpy()

    @cached_property
    def cells(self) -> list[np.ndarray]:
        """Coordinates of each condition without padding, float64, each `(cells, components)`."""
        return present(self.coordinates)

    @cached_property
    def cells_in_a(self) -> list[np.ndarray]:
        """Which of the cells in `cells` are in half A, for each of 20 halvings of them, each `(20, cells)`."""
        found = [np.zeros((N_HALVES, len(one)), bool) for one in self.cells]
        for key, masks in zip(self.obs.index, found, strict=True):
            n = masks.shape[1]
            for split, mask in enumerate(masks):
                mask[rng_of(split, key).permutation(n)[: n // 2]] = True
        return found

    @cached_property
    def median_distances(self) -> list[float]:
        """Median distance of two cells of each condition, the unit of kernel lengths."""
        return [median_distance(one) for one in self.cells]

    @cached_property
    def targets(self) -> np.ndarray:
        """Positions of the genes that each condition perturbs itself, `(conditions, most per condition)`, -1 for none."""
        kind = self.obs["kind"].astype(str) if "kind" in self.obs else pd.Series("", self.obs.index)
        return target_positions(self.genes, self.obs["perturbation"].astype(str), kind)

    @cached_property
    def weights(self) -> np.ndarray:
        """Weight of each gene by how far a condition stands out from the rest of its context, `(conditions, genes)`.

        The rest are all other treated cells of the context, never its controls; NaN where there are none.

        Source: metrics.md section 3.7; keeping to the context is our choice, because the rest of a pool of cell lines
        would weigh what tells the lines apart.
        """
        n = self.obs["n_cells"].to_numpy(float)
        mean, variance = (np.asarray(values, dtype=float) for values in (self.mean, self.variance))
        others = tuple(self.others[name] for name in ("n", "mean", "variance"))
        rest_n, rest_mean, rest_variance = rest_moments(n, mean, variance, self.context_rows, others)
        return effect_weights(welch_t(mean, variance, n, rest_mean, rest_variance, rest_n))


def present(coordinates: np.ndarray) -> list[np.ndarray]:
    """Coordinates `(conditions, cells, components)` as one float64 array per condition, without the padding."""
    return [one[~np.isnan(one).any(axis=1)].astype(float) for one in coordinates]


def target_positions(genes: np.ndarray, perturbations: pd.Series, kinds: pd.Series) -> np.ndarray:
    """Positions in the panel of the genes that each perturbation changes directly; see `Truth.targets`.

    Only CRISPR perturbations have any: the target of a drug is not named by its label.
    """
    place = {gene: i for i, gene in enumerate(genes)}
    named = [
        [place[gene] for gene in genes_of(label) if gene in place] if kind.startswith("CRISPR") else []
        for label, kind in zip(perturbations, kinds, strict=True)
    ]
    width = max(map(len, named), default=0)
    return np.array([found + [-1] * (width - len(found)) for found in named], int).reshape(len(named), width)


def rng_of(seed: int, label: str) -> np.random.Generator:
    """A generator of its own per condition, so that other conditions and row order do not matter."""
    return np.random.default_rng([seed, crc32(label.encode())])
