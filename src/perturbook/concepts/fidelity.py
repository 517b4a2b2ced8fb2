"""How well a dictionary gives cells back, and how much of it they use.

Source: `concepts.md` sections 3.4, 3.6 and 7.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from perturbook.concepts.dictionary import Dictionary
from perturbook.concepts.embedding_rows import EmbeddingRows
from perturbook.errors import ShapeError

RARE = 9
"""Most held-out cells in which a latent may be active to be called rare."""


@dataclass(frozen=True)
class Quality:
    """What held-out cells say of a dictionary."""

    ev: float
    """Explained variance, `1 - SSE / SST` over cells and dimensions, SST about the mean of these cells; NaN if that is 0."""
    cosine: float
    """Mean cosine of scaled cells and their scaled reconstructions; cells with either at 0 are left out."""
    l0: float
    """Mean number of active latents per cell."""
    n_cells: int
    counts: np.ndarray
    """In how many of these cells each latent is active, `(n_latents,)`."""

    @property
    def dead_eval(self) -> float:
        """Share of latents that are active in none of these cells."""
        return float((self.counts == 0).mean())

    @property
    def rare_eval(self) -> float:
        """Share of latents that are active in 1 to 9 of these cells."""
        return float(((self.counts > 0) & (self.counts <= RARE)).mean())

    @property
    def usual(self) -> np.ndarray:
        """True for latents that are neither dead nor rare here, those that are interpreted, `(n_latents,)`."""
        return self.counts > RARE

    @property
    def firing_rates(self) -> np.ndarray:
        """Share of these cells in which each latent is active, `(n_latents,)`."""
        return self.counts / self.n_cells

    def as_row(self) -> dict[str, float]:
        """What a table shows of it; the number of cells stands beside the dead, because it decides how many they are."""
        names = ("ev", "cosine", "l0", "dead_eval", "rare_eval", "n_cells")
        return {name: getattr(self, name) for name in names}


class Held:
    """Held-out rows, with their total sum of squares computed once."""

    def __init__(self, rows: EmbeddingRows):
        self.rows = rows
        self.mean = sum(block.sum(axis=0, dtype=np.float64) for block in rows.blocks()) / rows.n
        self.total = sum(float(((block - self.mean) ** 2).sum()) for block in rows.blocks())

    def explained_variance(self, dictionary: Dictionary) -> float:
        """Explained variance of these cells; see `Quality`."""
        return self.quality(dictionary).ev

    @torch.no_grad()
    def quality(self, dictionary: Dictionary) -> Quality:
        """Measure a dictionary on these cells, block by block.

        Raises:
            ShapeError: the rows have another width than the dictionary.
        """
        if dictionary.d_model != self.rows.d:
            raise ShapeError(
                f"The cells have {self.rows.d} numbers each, the dictionary takes {dictionary.d_model}."
            )
        error, active, cosines = 0.0, 0, []
        counts = torch.zeros(dictionary.n_latents, dtype=torch.long)
        for block in self.rows.blocks():
            cells = torch.from_numpy(block)
            made = dictionary(cells)
            error += float((cells - made.reconstruction).double().square().sum())
            counts += made.sparse.active_cells()
            pair = torch.stack([cells, made.reconstruction]) - dictionary.mu
            norms = pair.norm(dim=2)
            cosines.append(((pair[0] * pair[1]).sum(1) / norms.prod(0))[norms.min(0).values > 0])
        active = int(counts.sum())
        return Quality(
            ev=1 - error / self.total if self.total > 0 else np.nan,
            cosine=float(torch.cat(cosines).double().mean()),
            l0=active / self.rows.n,
            n_cells=self.rows.n,
            counts=counts.numpy(),
        )


def quality(dictionary: Dictionary, matrix: Any, cells: Any = None) -> Quality:
    """Measure a dictionary on cells `(cells, d_model)` it was not trained on.

    Args:
        dictionary: any.
        matrix: see `EmbeddingRows`.
        cells: which rows; all where None.

    Raises:
        InputError, ConfigError: see `EmbeddingRows`.
        ShapeError: the rows have another width than the dictionary.
    """
    return Held(EmbeddingRows(matrix, cells)).quality(dictionary)


def fidelity_table(
    dictionaries: Mapping[str, Dictionary], matrix: Any, cells: Any = None, ks: Sequence[int | None] = (None,)
) -> pd.DataFrame:
    """Explained variance against the number of active concepts, of several dictionaries on the same held-out cells.

    Args:
        dictionaries: title -> dictionary, fitted on other cells.
        matrix: see `EmbeddingRows`.
        cells: which rows; all where None.
        ks: concepts kept per cell, at most; None keeps what the dictionary itself keeps.

    Returns:
        One row per dictionary and K: dictionary, n_latents, k (0 where every positive concept is kept), and what
        `Quality.as_row` holds. A K above the number of concepts has no row.

    Raises:
        InputError, ConfigError, ShapeError: see `quality`.
    """
    held, rows = Held(EmbeddingRows(matrix, cells)), []
    for title, made in dictionaries.items():
        for k in ks:
            if k is None or k <= made.n_latents:
                kept = made if k is None else made.keeping(k)
                about = {"dictionary": title, "n_latents": made.n_latents, "k": kept.k or 0}
                rows.append(about | held.quality(kept).as_row())
    return pd.DataFrame(rows)


@torch.no_grad()
def largest_cosine(atoms: Tensor, rows: int = 512) -> float:
    """Largest cosine between two different atoms of norm 1, `(n_latents, d)`; NaN of a single one."""
    if len(atoms) < 2:
        return float("nan")
    found = []
    for at in range(0, len(atoms), rows):
        cosines = atoms[at : at + rows] @ atoms.T
        cosines.diagonal(at).fill_(-torch.inf) if at else cosines.fill_diagonal_(-torch.inf)
        found.append(float(cosines.max()))
    return max(found)
