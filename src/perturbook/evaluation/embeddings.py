"""What an embedding of cells knows of their type and condition, read off neighbours.

Every score is one value per cell, NaN where it is undefined, so that intervals and paired comparisons come from resampling
cells (`embedding_intervals.py`). All of them see distances only: rotating, shifting or mirroring an embedding changes
nothing, and embeddings of any width are treated alike. Source: our choice of scores; that an embedding is judged by
neighbours and silhouette is usual (Luecken et al. 2022, doi 10.1038/s41592-021-01336-8).
"""

import numpy as np
import pandas as pd

from perturbook.errors import ConfigError, InputError, ShapeError

K = 15
"""Neighbours a cell is judged by, where not said otherwise."""
MOST_CELLS = 12_000
"""Above this the table of distances takes more than 1.2 GB."""


def distances(embedding: np.ndarray, metric: str = "euclidean") -> np.ndarray:
    """Distances between all cells, `(cells, cells)`, 0 on the diagonal; float64.

    Args:
        embedding: `(cells, width)`.
        metric: "euclidean", or "cosine" for 1 minus the cosine. On unit vectors both give the same neighbours.

    Raises:
        ShapeError: not two axes. InputError: a value is not finite, a cosine of a zero vector, or more than 12,000 cells.
        ConfigError: another metric.
    """
    points = finite(embedding)
    if len(points) > MOST_CELLS:
        raise InputError(
            f"{len(points):,} cells are too many for a table of distances; take {MOST_CELLS:,} at random."
        )
    if metric == "cosine":
        norms = np.linalg.norm(points, axis=1, keepdims=True)
        if (norms == 0).any():
            raise InputError(f"{int((norms == 0).sum())} cells are zero vectors, which have no cosine.")
        points = points / norms
    elif metric != "euclidean":
        raise ConfigError(f"metric is {metric!r}; choose euclidean or cosine.")
    points = points - points.mean(axis=0)  # the difference of large squares below would lose digits
    squares = (points**2).sum(axis=1)
    squared = np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0)
    np.fill_diagonal(squared, 0)
    return squared / 2 if metric == "cosine" else np.sqrt(squared)


def finite(embedding: np.ndarray) -> np.ndarray:
    """The embedding `(cells, width)` in float64; raises ShapeError or InputError where it is none."""
    points = np.asarray(embedding, dtype=np.float64)
    if points.ndim != 2:
        raise ShapeError(f"embedding has shape {points.shape}, expected (cells, width).")
    if wrong := int((~np.isfinite(points).all(axis=1)).sum()):
        raise InputError(
            f"{wrong} of {len(points)} cells have no finite embedding; leave them out and say so."
        )
    return points


def type_knn(
    between: np.ndarray, types: np.ndarray, k: int = K, condition: np.ndarray | None = None
) -> np.ndarray:
    """1 where the most frequent type among a cell's `k` nearest other cells is its own, `(cells,)`; leave-one-out.

    A tie of n types that include the own one counts 1/n, what a random choice among them would score. With `condition`,
    neighbours come from the cells of any *other* condition alone: can a treated cell be recognised among untreated ones?

    Args:
        between: distances `(cells, cells)`.
        types: label per cell `(cells,)`.
        k: neighbours.
        condition: label per cell `(cells,)`.

    Returns:
        Values in [0, 1], `(cells,)`; NaN where fewer than `k` cells may be neighbours.
    """
    codes, names = _codes(between, types, k)
    found = np.full(len(codes), np.nan)
    for rows, pool in _pools(
        np.zeros(len(codes), int) if condition is None else condition, condition is not None
    ):
        near = _nearest(between, rows, pool, k)
        if near is None:
            continue
        votes = np.stack([(codes[near] == code).sum(axis=1) for code in range(names)], axis=1)
        most = votes == votes.max(axis=1, keepdims=True)
        found[rows] = most[np.arange(len(rows)), codes[rows]] / most.sum(axis=1)
    return found


def silhouette(between: np.ndarray, types: np.ndarray) -> np.ndarray:
    """Silhouette of each cell in its type, `(b - a) / max(a, b)`, `(cells,)`, in [-1, 1], not rescaled.

    `a` is the mean distance to the other cells of its type, `b` that to the cells of the nearest other type.
    NaN for the only cell of a type, and where all cells are of one type. Source: Rousseeuw 1987.
    """
    codes, names = _codes(between, types, 1)
    if names < 2:
        return np.full(len(codes), np.nan)
    sizes, rows = np.bincount(codes), np.arange(len(codes))
    sums = between @ np.eye(names)[codes]
    with np.errstate(invalid="ignore", divide="ignore"):
        own = sums[rows, codes] / (sizes[codes] - 1)
        means = sums / sizes
        means[rows, codes] = np.inf
        other = means.min(axis=1)
        values = (other - own) / np.maximum(own, other)
    return np.where(sizes[codes] > 1, values, np.nan)


def condition_auroc(between: np.ndarray, types: np.ndarray, treated: np.ndarray, k: int = K) -> np.ndarray:
    """How surely treated and untreated cells of one type are told apart by their neighbours, `(cells,)`; the mean is an AUROC.

    A cell of each condition, both of one type, are compared: which has more treated cells among its `k` nearest of that type,
    both cells of the pair left out? The share of pairs that come out right, a tie counting half, is the AUROC A of the type,
    and labels that mean nothing score 0.5. Leaving out one cell instead of the pair would score them below that, because a
    treated cell would have one treated cell fewer to be its neighbour.

    A cell's value is `A + (n / m) (V - A)`, with V the share of its own pairs that come out right, n the cells of its type and m
    those of its type and condition. Their mean is A, and resampling them gives the spread of A, which depends on treated and
    untreated cells alike; single values may lie outside [0, 1].
    NaN where a type has fewer than `k` cells of either condition.

    Source: Airola et al. 2011, doi 10.1016/j.csda.2010.11.018 (leave-pair-out); DeLong et al. 1988, doi 10.2307/2531595 (the
    spread); that neighbours give the score is our choice.
    """
    codes, names = _codes(between, types, k)
    treated, found = np.asarray(treated, dtype=bool), np.full(len(codes), np.nan)
    if treated.shape != codes.shape:
        raise ShapeError(
            f"treated has shape {treated.shape}, expected one for each of the {len(codes)} cells."
        )
    for code in range(names):
        rows = np.flatnonzero(codes == code)
        yes, no = rows[treated[rows]], rows[~treated[rows]]
        if min(len(yes), len(no)) < k:
            continue
        of_yes = _treated_near(between, yes, rows, no, treated, k)
        of_no = _treated_near(between, no, rows, yes, treated, k)
        right = np.sign(of_yes - of_no.T) / 2 + 0.5
        for own, share in ((yes, right.mean(axis=1)), (no, right.mean(axis=0))):
            found[own] = right.mean() + len(rows) / len(own) * (share - right.mean())
    return found


def _treated_near(
    between: np.ndarray,
    cells: np.ndarray,
    pool: np.ndarray,
    left_out: np.ndarray,
    treated: np.ndarray,
    k: int,
) -> np.ndarray:
    """Treated cells among the `k` nearest of `pool`, without the cell itself and one of `left_out`: (cells, left out)."""
    near = _nearest(between, cells, pool, k + 1)
    label = treated[near].astype(int)
    lost = (near[:, :k, None] == left_out[None, None]).any(axis=1)
    return label[:, :k].sum(axis=1)[:, None] + lost * (label[:, k:] - treated[left_out][None])


def labelled(labels: np.ndarray, n_cells: int) -> tuple[np.ndarray, int]:
    """Whole numbers for labels `(cells,)`, and how many labels there are; raises where a cell has none."""
    labels = np.asarray(labels)
    if labels.shape != (n_cells,):
        raise ShapeError(f"labels have shape {labels.shape}, expected one for each of the {n_cells} cells.")
    if missing := int(pd.isna(labels).sum()):
        raise InputError(f"{missing} cells have no label; leave them out and say so.")
    names, codes = np.unique(labels, return_inverse=True)
    return codes, len(names)


def _codes(between: np.ndarray, labels: np.ndarray, k: int) -> tuple[np.ndarray, int]:
    """As `labelled`; raises what every score from distances must refuse."""
    if between.ndim != 2 or between.shape[0] != between.shape[1]:
        raise ShapeError(
            f"distances have shape {between.shape}, expected (cells, cells); make them by `distances`."
        )
    if k < 1:
        raise ConfigError(f"k is {k}; a cell needs at least one neighbour.")
    return labelled(labels, len(between))


def _pools(groups: np.ndarray, other: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cells of each group and the cells that may be their neighbours: those of any other group, or of the group."""
    groups = np.asarray(groups)
    pairs = [(np.flatnonzero(groups == one), np.flatnonzero(groups != one)) for one in np.unique(groups)]
    return pairs if other else [(rows, rows) for rows, _ in pairs]


def _nearest(between: np.ndarray, rows: np.ndarray, pool: np.ndarray, k: int) -> np.ndarray | None:
    """Positions of the `k` cells of `pool` nearest to each of `rows`, itself never, `(rows, k)`; ties by position.

    None where fewer than `k` may be neighbours.
    """
    part = between[np.ix_(rows, pool)]
    itself = rows[:, None] == pool[None]
    part[itself] = np.inf
    if len(pool) - int(itself.any()) < k:
        return None
    return pool[np.argsort(part, axis=1, kind="stable")[:, :k]]
