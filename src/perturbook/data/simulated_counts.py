"""From log rates to counts: the cell states, the saturation, the library size and the noise of the simulators.

Rates are float64 throughout: a rounding difference between two machines then changes a drawn count about once in a
million runs, while at float32 it would change several counts in every run.
"""

from dataclasses import dataclass

import numpy as np

LIMIT = 3.0  # log effects saturate at plus and minus this
CYCLE_SHARE, CYCLE_SD = 0.15, 0.6  # genes that follow the cell cycle, and how far
FACTORS, FACTOR_SHARE, FACTOR_SD = 4, 0.3, 0.35  # shared latent factors of cells
LIBRARY, LIBRARY_SD = 8000.0, 0.35  # median counts of a cell, spread of their log
DISPERSION, DISPERSION_SD = 0.12, 0.4  # negative binomial: variance = mean + dispersion * mean^2


@dataclass(frozen=True)
class CellModel:
    """What cells share that no perturbation changes."""

    loadings: np.ndarray
    """Two periodic factors of the cell cycle, then the latent factors, `(factors, genes)`, log units."""
    dispersion: np.ndarray
    """Of the negative binomial, `(genes,)`."""


def draw_cell_model(rng: np.random.Generator, genes: int) -> CellModel:
    """Draw loadings and dispersions for `genes` genes."""
    cycle = rng.normal(0.0, CYCLE_SD, (2, genes)) * (rng.random(genes) < CYCLE_SHARE)
    factors = rng.normal(0.0, FACTOR_SD, (FACTORS, genes)) * (rng.random((FACTORS, genes)) < FACTOR_SHARE)
    dispersion = DISPERSION * np.exp(rng.normal(0.0, DISPERSION_SD, genes))
    return CellModel(loadings=np.vstack([cycle, factors]), dispersion=dispersion)


def saturate(effect: np.ndarray) -> np.ndarray:
    """Bend added log effects into (-3, 3); nearly linear below 1."""
    return LIMIT * np.tanh(effect / LIMIT)


def draw_counts(
    rng: np.random.Generator, model: CellModel, log_mean: np.ndarray, library: np.ndarray, cells: np.ndarray
) -> np.ndarray:
    """Draw negative-binomial counts of fresh cells.

    Args:
        rng: source of every draw.
        model: loadings and dispersions.
        log_mean: mean log expression per condition, `(conditions, genes)`; only differences within a row matter.
        library: factor on the library size per condition, `(conditions,)`.
        cells: number of cells per condition, `(conditions,)`.

    Returns:
        Whole numbers, float32, shape `(cells, genes)`, in the order of the conditions.
    """
    n, genes = int(cells.sum()), log_mean.shape[1]
    phase = rng.uniform(0.0, 2 * np.pi, n)
    scores = np.column_stack([np.cos(phase), np.sin(phase), rng.normal(size=(n, len(model.loadings) - 2))])
    rate = scores @ model.loadings
    rate += np.repeat(log_mean, cells, axis=0)
    np.exp(rate, out=rate)
    depth = LIBRARY * np.repeat(library, cells) * np.exp(rng.normal(0.0, LIBRARY_SD, n))
    rate *= (depth / rate.sum(axis=1))[:, None]
    shape = 1.0 / model.dispersion
    rate *= rng.standard_gamma(
        shape, (n, genes)
    )  # gamma with mean `shape`, so that the product has mean `rate`
    rate *= model.dispersion
    return rng.poisson(rate).astype(np.float32)
