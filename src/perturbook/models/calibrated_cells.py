"""Cells with a given mean and a spread that cells have: three ways to put back what a predicted mean has lost.

A decoder's mean has no observation noise, so that cells made of means are far too alike. All three ways keep the mean of
every gene, hence every metric of means; what changes is the spread.

Source: `perturbedvae.md` section 16.2.
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from perturbook.data.schema import expression
from perturbook.models.protocol import Query

FACTOR = (0.25, 4.0)
"""Least and most that one perturbation may change a gene's variance."""
PRIOR_CELLS = 20
"""Cells' worth of "no change" in every variance ratio. Source: our choice; the specification asks for shrinking."""
ROUNDS = 60
"""Halvings of the bisection: beyond double precision."""


def control_cells(query: Query) -> dict[str, np.ndarray]:
    """Control cells `(cells, genes)` of each context, in the order of their names."""
    contexts = query.controls.obs["context"].astype(str).to_numpy()
    order = np.argsort(query.controls.obs_names.to_numpy(str))
    values = sp.csr_matrix(expression(query.controls))
    return {one: values[order[contexts[order] == one]].toarray() for one in np.unique(contexts)}


def transport(controls: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Control cells `(cells, genes)` moved to `mean` `(genes,)`: their spread is that of controls. The floor of learned noise."""
    return scaled(controls, mean, np.ones(controls.shape[1]))


def scaled(controls: np.ndarray, mean: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """`mean + sqrt(factor) * (control - mean of controls)` per cell, for a variance `factor` per gene `(genes,)`."""
    controls = np.asarray(controls, float)
    return mean + np.sqrt(factor) * (controls - controls.mean(axis=0))


def variance_factor(controls: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
    """How much the genes of a perturbation together change the variance of every gene, `(genes,)`: a product of ratios.

    Each ratio is the variance of the cells with one gene perturbed over that of controls, drawn towards 1 by
    `PRIOR_CELLS` and kept within `FACTOR`. 1 where controls do not vary.

    Args:
        controls: `(cells, genes)`.
        groups: cells `(cells, genes)` of each perturbed gene alone; fewer than two cells say nothing.
    """
    base = np.var(controls, axis=0, ddof=1) if len(controls) > 1 else np.zeros(controls.shape[1])
    total = np.ones(controls.shape[1])
    for group in groups:
        if len(group) > 1:
            own = len(group) * np.var(group, axis=0, ddof=1) + PRIOR_CELLS * base
            ratio = np.divide(own, (len(group) + PRIOR_CELLS) * base, out=np.ones_like(total), where=base > 0)
            total *= np.clip(ratio, *FACTOR)
    return total


def above_zero(cells: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Clip cells `(cells, genes)` at 0 and move each gene before, so that its mean is still `mean` `(genes,)`.

    Found by bisection, because the clipped mean rises with the shift; a gene whose mean is not above 0 becomes 0 throughout.
    """
    cells, mean = np.asarray(cells, float), np.maximum(np.asarray(mean, float), 0.0)
    low = -cells.max(axis=0)  # all clipped: mean 0
    high = mean - cells.min(axis=0)  # none clipped: mean at least `mean`
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        under = np.maximum(cells + middle, 0).mean(axis=0) < mean
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return np.where(mean > 0, np.maximum(cells + high, 0), 0.0)
