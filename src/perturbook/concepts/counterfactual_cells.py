"""The counterfactual of a cell: the nearest cell in which the concept is not active, and controls for that choice.

Source: `concepts.md` sections 5.1 and 5.2 (negative controls a and b).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perturbook.errors import ConfigError, InputError

AGAINST = ("inactive", "active", "random")
"""Which cells are candidates: not activating the concept, nearest first; activating it, nearest first (control a); not
activating it, in random order (control b)."""

BLOCK = 10_000
"""Cells whose differences are in memory at once."""


def candidates(
    embeddings: np.ndarray,
    codes: np.ndarray,
    row: int,
    obs: pd.DataFrame | None = None,
    match_on: Sequence[str] = (),
    *,
    against: str = "inactive",
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Cells that may be the counterfactual of cell `row`, best first, and their distances.

    Args:
        embeddings: `(cells, width)`, as the encoder gives them.
        codes: of the concept in every cell, `(cells,)`.
        row: the cell, which is never its own counterfactual.
        obs: labels of the cells, with the columns of `match_on`.
        match_on: columns in which a counterfactual must have the label of the cell, such as donor or cell type.
        against: one of `AGAINST`.
        seed: of the random order; with the row it decides it.

    Returns:
        Rows `(n,)` and Euclidean distances `(n,)`, ties by row. None at all where no cell matches: nothing is relaxed.

    Raises:
        InputError: a column is missing, or the cell has no label there.
        ConfigError: `against` is unknown.
    """
    if against not in AGAINST:
        raise ConfigError(f"against is {against!r}; expected one of {', '.join(AGAINST)}.")
    allowed = np.asarray(codes) > 0 if against == "active" else np.asarray(codes) <= 0
    allowed &= _matching(obs, match_on, row, len(allowed))
    allowed[row] = False
    rows = np.flatnonzero(allowed)
    distances = distances_to(embeddings, row)[rows]
    if against == "random":
        order = np.random.default_rng([seed, row]).permutation(len(rows))
    else:
        order = np.argsort(distances, kind="stable")
    return rows[order], distances[order]


def distances_to(embeddings: np.ndarray, row: int) -> np.ndarray:
    """Euclidean distances of all cells to cell `row`, `(cells,)`; summed in float64, in blocks."""
    blocks = [embeddings[start : start + BLOCK] for start in range(0, len(embeddings), BLOCK)]
    squares = [((block.astype(np.float64) - embeddings[row]) ** 2).sum(axis=1) for block in blocks]
    return np.sqrt(np.concatenate(squares))


def _matching(obs: pd.DataFrame | None, match_on: Sequence[str], row: int, n_cells: int) -> np.ndarray:
    """Cells with the labels of cell `row` in all columns, `(cells,)` bool."""
    same = np.ones(n_cells, dtype=bool)
    for column in match_on:
        if obs is None or column not in obs:
            known = "no obs was given" if obs is None else f"obs has {', '.join(map(str, obs.columns))}"
            raise InputError(
                f"Counterfactuals are to match on {column!r}, and {known}; name a column of obs."
            )
        labels = obs[column].to_numpy()
        if pd.isna(labels[row]):
            raise InputError(
                f"Cell {obs.index[row]} has no label in obs[{column!r}], so no cell can match it; "
                f"leave it out or label it."
            )
        same &= np.asarray(labels == labels[row], dtype=bool)
    return same
