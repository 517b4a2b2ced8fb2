"""Counts drawn live for the Scores chapter: genes with known levels, effects and expected values.

Cells are log1p of negative-binomial counts, of equal size in every cell and therefore not scaled to 10,000. Level,
dispersion and effects are chosen so that the table of metrics.md section 3.2, which does not state its own, comes out.
"""

import numpy as np
from scipy.stats import nbinom

DISPERSION = 5
"""Counts of mean m have the variance m + m^2 / 5. Our choice, see above."""


def draw_levels(rng: np.random.Generator, n_genes: int) -> np.ndarray:
    """Mean counts of control cells, `(genes,)`. Source: our choice."""
    return rng.lognormal(1.0, 1.4, n_genes)


def draw_effect(rng: np.random.Generator, n_genes: int) -> np.ndarray:
    """Log effect of a perturbation, zero in about four of five genes, `(genes,)`. Source: our choice."""
    return np.where(rng.random(n_genes) < 0.2, rng.normal(0, 0.45, n_genes), 0.0)


def draw_cells(rng: np.random.Generator, level: np.ndarray, effect: np.ndarray, n_cells: int) -> np.ndarray:
    """Draw cells whose mean counts are `level * exp(effect)`.

    Args:
        rng: decides the counts.
        level: `(genes,)`.
        effect: `(genes,)`, natural log.
        n_cells: cells to draw.

    Returns:
        log1p of counts, `(cells, genes)`.
    """
    mean = level * np.exp(effect)
    return np.log1p(rng.negative_binomial(DISPERSION, DISPERSION / (DISPERSION + mean), (n_cells, len(mean))))


def expected(level: np.ndarray, effect: np.ndarray) -> np.ndarray:
    """Mean of infinitely many cells of `draw_cells`, `(genes,)`, to 1e-9: what an oracle knows."""
    mean = level * np.exp(effect)
    size = (8 * mean).astype(int) + 60  # eight times the mean is out of reach at this dispersion
    gene, first = np.repeat(np.arange(len(mean)), size), np.repeat(np.cumsum(size) - size, size)
    count = np.arange(len(gene)) - first
    share = nbinom.pmf(count, DISPERSION, DISPERSION / (DISPERSION + mean[gene]))
    return np.bincount(gene, weights=np.log1p(count) * share)
