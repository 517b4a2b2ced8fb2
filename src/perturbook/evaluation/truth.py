"""`Truth`: everything about the measured cells that scores need, once per page and seed, without any cell in it."""

from dataclasses import dataclass, field, replace
from zlib import crc32

import numpy as np
import pandas as pd

N_HALVES, MAX_CELLS, N_DEG = 20, 200, 50
MEAN_STEP, VARIANCE_STEP = 2.0**-12, 2.0**-8
"""Stored means and variances are multiples of these (log1p units), far below their sampling error; our choice."""


def stored(values: np.ndarray, step: float | np.ndarray = MEAN_STEP) -> np.ndarray:
    """Round to the resolution of a bundle, float32, so that a deposit stays small and two readings agree."""
    return (np.round(np.asarray(values, dtype=float) / step) * step).astype(np.float32)


@dataclass(frozen=True)
class Truth:
    """Measured profiles of the conditions a page asks about. Means are log1p of counts per 10k unless `scale` differs."""

    obs: pd.DataFrame
    """Index condition key; context, perturbation, dose_um, fold, n_cells."""
    genes: np.ndarray
    """Panel `(genes,)`."""
    mean: np.ndarray
    """`(conditions, genes)`."""
    variance: np.ndarray
    """Unbiased, `(conditions, genes)`; NaN for one cell."""
    halves: np.ndarray
    """Mean of half A minus `mean`, of 20 random halvings, `(conditions, 20, genes)`; half A has n // 2 cells."""
    deg: dict[str, np.ndarray]
    """Gene positions by |Welch t|, strongest first, `(conditions, <= 50)`, for "split_half" and "test_truth"."""
    coordinates: np.ndarray
    """PCA coordinates of up to 200 cells, `(conditions, cells, components)`, NaN where there are fewer."""
    pca_mean: np.ndarray
    """`(genes,)`."""
    loadings: np.ndarray
    """`(genes, components)`; fitted on the truth alone, the same for all methods."""
    controls: dict[str, np.ndarray]
    """Per tested context: mean, mean_a (shown to models), mean_b (kept for the truth), halves, n, n_a, variance.
    Halving 0 is the one into shown and kept; half A of the others has n // 2 cells."""
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


def rng_of(seed: int, label: str) -> np.random.Generator:
    """A generator of its own per condition, so that other conditions and row order do not matter."""
    return np.random.default_rng([seed, crc32(label.encode())])


def rounded(truth: Truth) -> Truth:
    """The truth at the resolution of a bundle; the basis of the PCA has it from the start."""
    controls = {name: stored(truth.controls[name]) for name in ("mean", "mean_a", "mean_b")}
    controls["variance"] = stored(truth.controls["variance"], VARIANCE_STEP)
    controls["halves"] = _coarse(truth.controls["halves"])
    return replace(
        truth,
        mean=stored(truth.mean),
        variance=stored(truth.variance, VARIANCE_STEP),
        halves=_coarse(truth.halves),
        coordinates=truth.coordinates.astype(np.float16),
        controls={**truth.controls, **controls},
        centroid=stored(truth.centroid),
    )


def _coarse(halves: np.ndarray) -> np.ndarray:
    """Round half-means to a power of two near a third of their condition's error; adds 1 to 2 % to its variance.

    Halving 0 keeps the resolution of a mean: gene lists are scored on its half B alone.
    """
    spread = np.sqrt(np.mean(halves**2, axis=(1, 2), keepdims=True))
    coarse = stored(halves, 2.0 ** np.round(np.log2(np.where(spread > 0, spread, 1.0) / 3)))
    coarse[:, 0] = stored(halves[:, 0])
    return coarse
