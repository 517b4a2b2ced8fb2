"""Programs and graph of responsive latents, on a scale that does not depend on how a latent is scaled.

Source: `perturbedvae.md` section 12.
"""

import numpy as np

from perturbook.errors import ShapeError


def effects(mean: np.ndarray, control: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """`e_kj = |E[z_j | u_k] - E[z_j | u_0]| / SD_control(z_j)`, `(targets, latents)`; NaN for a latent without spread.

    Args:
        mean: of each latent under each target `(targets, latents)`.
        control: mean under control `(latents,)`.
        spread: standard deviation under control `(latents,)`.

    Raises:
        ShapeError: the arguments do not fit.
    """
    mean, control, spread = (np.asarray(one, float) for one in (mean, control, spread))
    if mean.ndim != 2 or control.shape != mean.shape[1:] or spread.shape != mean.shape[1:]:
        raise ShapeError(
            f"means are {mean.shape}, control is {control.shape}, spread {spread.shape}; expected (targets, "
            "latents) and twice (latents,)."
        )
    return np.abs(mean - control) / np.where(spread > 0, spread, np.nan)


def program_map(effect: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strongest latent of each target `(targets,)`, and its margin to the second `(targets,)`, in control SD.

    Latents without a defined effect never win; a margin to none is NaN. None are merged.

    Args:
        effect: of `effects`, `(targets, latents)`.

    Raises:
        ShapeError: no latent, or none with a defined effect on some target.
    """
    filled = np.where(np.isnan(effect), -np.inf, effect)
    if effect.ndim != 2 or not effect.shape[1] or (filled == -np.inf).all(axis=1).any():
        raise ShapeError(
            f"effects are {np.shape(effect)}; every target needs a latent with a defined effect."
        )
    ranked = np.sort(filled, axis=1)
    second = ranked[:, -2] if effect.shape[1] > 1 else np.full(len(effect), -np.inf)
    return filled.argmax(axis=1), np.where(second > -np.inf, ranked[:, -1] - second, np.nan)


def standardised(edges: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """`w_ij SD_j / SD_i`: SDs by which latent i moves when latent j moves by one, `(latents, latents)`.

    Args:
        edges: row i, column j is the edge from j to i, `(latents, latents)`.
        spread: standard deviation of each latent `(latents,)`.

    Raises:
        ShapeError: the arguments do not fit.
    """
    edges, spread = np.asarray(edges, float), np.asarray(spread, float)
    if edges.shape != (*spread.shape, *spread.shape):
        raise ShapeError(f"edges are {edges.shape}, spread is {spread.shape}; expected (n, n) and (n,).")
    return edges * spread[None, :] / np.where(spread > 0, spread, np.nan)[:, None]


def total_spread(means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """SD of each latent over cells that are each known with an error: spread of the means and mean of the variances.

    Args:
        means: posterior means `(cells, latents)`.
        variances: posterior variances `(cells, latents)`.
    """
    return np.sqrt(np.var(means, axis=0) + np.mean(variances, axis=0))


def pruned(edges: np.ndarray, threshold: float) -> np.ndarray:
    """True for edges of more than `threshold` in absolute value, `(latents, latents)`; NaN is no edge."""
    return np.abs(np.nan_to_num(edges)) > threshold
