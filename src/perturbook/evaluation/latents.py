"""How well found latents are the true ones: up to order and scale, or up to an affine map.

Source: `perturbedvae.md` section 8.2.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from perturbook.errors import ShapeError


def mean_correlation(found: np.ndarray, true: np.ndarray) -> float:
    """Mean absolute Pearson correlation of one-to-one matched latents, each `(cells, latents)`: MCC.

    1 for a permuted, rescaled and sign-flipped copy; a constant latent correlates with nothing and counts as 0.

    Raises:
        ShapeError: the arrays differ in shape.
    """
    if found.shape != true.shape:
        raise ShapeError(
            f"found latents are {found.shape}, true ones {true.shape}; MCC matches them one to one."
        )
    a, b = (_standard(np.asarray(one, float)) for one in (found, true))
    strength = np.abs(a.T @ b) / len(a)
    return float(strength[linear_sum_assignment(-strength)].mean())


def affine_r2(
    found: tuple[np.ndarray, np.ndarray], true: tuple[np.ndarray, np.ndarray], *, each: bool = False
) -> float | np.ndarray:
    """R2 of true latents on test cells, from a linear regression on found ones that was fitted on training cells.

    Args:
        found: training and test part, each `(cells, found latents)`.
        true: the same parts, each `(cells, true latents)`.
        each: one value per true latent, `(true latents,)`, instead of their mean.

    Not clipped: negative where the regression predicts worse than the mean of the test cells.
    """
    (a, b), (y, z) = ((np.asarray(part, float) for part in pair) for pair in (found, true))
    centre = a.mean(axis=0)
    weights = np.linalg.lstsq(a - centre, y - y.mean(axis=0), rcond=None)[0]
    error = z - y.mean(axis=0) - (b - centre) @ weights
    values = 1 - (error**2).sum(axis=0) / ((z - z.mean(axis=0)) ** 2).sum(axis=0)
    return values if each else float(values.mean())


def _standard(values: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1; constant ones are 0."""
    spread = values.std(axis=0)
    return np.where(spread > 0, (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1), 0.0)
