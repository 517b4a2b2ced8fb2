"""What an embedding of cells knows of how deeply each was sequenced: the part of it that a line can read."""

import numpy as np

from perturbook.errors import InputError
from perturbook.evaluation.embeddings import finite, labelled

PENALTIES = 10.0 ** np.arange(-6, 4)
"""Penalties of the ridge regression that are tried, as shares of the largest squared singular value."""


def depth_r2(embedding: np.ndarray, depth: np.ndarray, types: np.ndarray | None = None) -> np.ndarray:
    """How well the depth of a cell is read off its embedding by a line, `(cells,)`; the mean over cells is R².

    Ridge regression of depth on the coordinates, each cell predicted from all others. The value is `1 - e² / mean(e0²)`, with
    `e` the error of the line and `e0` that of the mean of all other cells. With `types` both start from the mean of the cell's
    type, so that only depth within types counts. The penalty is the one of `PENALTIES` with the least error, which makes R²
    of an embedding that knows nothing about 0, and at worst slightly too high.

    Args:
        embedding: `(cells, width)`.
        depth: log of the total counts of each cell `(cells,)`.
        types: label per cell `(cells,)`.

    Returns:
        Values of at most 1, without a lower bound, `(cells,)`; NaN for the only cell of a type, and everywhere where all other
        cells of a type have one depth.

    Source: errors of leaving one out in closed form, Golub, Heath and Wahba 1979; a line rather than neighbours: our choice,
    because a few cells that are near to all others can hide any depth from neighbours.
    """
    points, depth = finite(embedding), np.asarray(depth, dtype=np.float64)
    codes, names = labelled(np.zeros(len(points)) if types is None else types, len(points))
    if depth.shape != codes.shape or not np.isfinite(depth).all():
        raise InputError(
            f"depth has shape {depth.shape}; give one finite log total for each of the {len(codes)} cells."
        )
    sizes = np.bincount(codes)[codes]
    own = 1 / sizes  # weight of a cell in the mean of its type
    others = np.where(sizes > 1, 1 - own, np.nan)
    y, x = _within(depth[:, None], codes, names)[:, 0], _within(points, codes, names)
    e0 = y / others
    if np.isnan(e0).all() or not (spread := np.nanmean(e0**2)):
        return np.full(len(depth), np.nan)
    left, size, _ = np.linalg.svd(x, full_matrices=False)
    best = np.inf * e0
    for penalty in PENALTIES * size[0] ** 2 if size[0] else [1.0]:
        shrink = size**2 / (size**2 + penalty)
        e = (y - left @ (shrink * (left.T @ y))) / (others - left**2 @ shrink)
        best = min(best, e, key=lambda errors: np.nanmean(errors**2))
    return 1 - best**2 / spread


def _within(values: np.ndarray, codes: np.ndarray, names: int) -> np.ndarray:
    """Values `(cells, width)` minus the mean of their type."""
    belongs = np.eye(names)[codes]
    return values - belongs @ (belongs.T @ values / belongs.sum(axis=0)[:, None])
