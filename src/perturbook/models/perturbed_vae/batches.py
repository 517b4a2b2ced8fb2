"""Batches of PerturbedVAE: cells with their codes and one control partner each, as a function of seed and epoch alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from perturbook.errors import ConfigError
from perturbook.models.perturbed_vae.likelihood import Counts
from perturbook.models.training.batches import Made

PAIRINGS = ("random", "counterfactual", "nearest")
"""How a cell gets its control partner: by chance (the paper), its own twin (simulation only), or the most alike (ours)."""
COMPONENTS = 20
"""Principal components of the controls in which `nearest` looks. Source: our choice."""


class Batch(NamedTuple):
    """Arguments of `PerturbedVAE.terms`."""

    x: Tensor
    u: Tensor
    x0: Tensor
    environment: Tensor
    counts: Counts | None


@dataclass(frozen=True)
class Cells:
    """What PerturbedVAE is trained on; raises ConfigError where a cell has no control to be paired with."""

    x: np.ndarray | sp.csr_matrix
    """Expression `(cells, genes)`, kept as it is; a batch is made dense."""
    codes: np.ndarray
    """Code of each environment `(environments, n_perts)`; the first is control, all zeros."""
    environment: np.ndarray
    """Row of `codes` of each cell `(cells,)`."""
    group: np.ndarray
    """Number of the context of each cell `(cells,)`: partners come from the same."""
    twins: np.ndarray | None = None
    """Counterfactual control twin of each cell `(cells, genes)`, for `pairing="counterfactual"`."""
    counts: sp.csr_matrix | None = None
    """Raw counts `(cells, genes)`, for `likelihood="nb"`."""
    library: np.ndarray | None = None
    """Counts of each whole cell `(cells,)`, for `likelihood="nb"`."""
    pairing: str = "random"

    def __post_init__(self):
        if self.pairing not in PAIRINGS:
            raise ConfigError(f"pairing is {self.pairing!r}. Allowed: {', '.join(PAIRINGS)}.")
        if self.pairing == "counterfactual" and self.twins is None:
            raise ConfigError("pairing='counterfactual' needs twins, which only a simulation has.")
        if bare := sorted(set(self.group.tolist()) - set(self.controls)):
            raise ConfigError(f"context number {bare[0]} has no control cell to be paired with.")

    def arrays(self) -> Iterator[np.ndarray]:
        """Every number that training reads, one array after the other."""
        for part in (self.x, self.codes, self.environment, self.group, self.twins, self.counts, self.library):
            if sp.issparse(part):
                yield from (part.data, part.indices, part.indptr)
            elif part is not None:
                yield part

    @cached_property
    def controls(self) -> dict[int, np.ndarray]:
        """Control cells of each group, by position."""
        control = self.environment == 0
        return {int(g): np.flatnonzero(control & (self.group == g)) for g in np.unique(self.group[control])}

    @cached_property
    def nearest(self) -> np.ndarray:
        """The control most like each cell, not itself, `(cells,)`, in principal components of the group's controls."""
        from sklearn.decomposition import PCA
        from sklearn.neighbors import NearestNeighbors

        found = np.empty(len(self.environment), int)
        for group, controls in self.controls.items():
            own = np.flatnonzero(self.group == group)
            pool = dense(self.x[controls])
            if len(controls) < 2:
                found[own] = controls[0]
                continue
            axes = PCA(min(COMPONENTS, *pool.shape), random_state=0).fit(pool)
            order = NearestNeighbors(n_neighbors=2).fit(axes.transform(pool))
            near = controls[order.kneighbors(axes.transform(dense(self.x[own])), return_distance=False)]
            found[own] = np.where(near[:, 0] == own, near[:, 1], near[:, 0])
        return found

    def partners(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One control of the same group for each row, another cell where it has one."""
        if self.pairing == "nearest":
            return self.nearest[rows]
        chosen = np.empty(len(rows), int)
        for group in np.unique(self.group[rows]):
            at, pool = np.flatnonzero(self.group[rows] == group), self.controls[int(group)]
            draw = rng.integers(len(pool), size=len(at))
            same = pool[draw] == rows[at]
            chosen[at] = pool[np.where(same, (draw + 1) % len(pool), draw)]
        return chosen


@dataclass(frozen=True)
class Paired:
    """`batches(seed, epoch)`: all cells in a new order, each with a fresh partner."""

    cells: Cells
    size: int
    """Most cells per batch; the batches of an epoch are equally long, to one cell."""

    def __len__(self) -> int:
        return max(1, -(-len(self.cells.environment) // self.size))

    def __call__(self, seed: int, epoch: int) -> Made:
        """The batches of an epoch."""
        rng = np.random.default_rng([seed, epoch])
        rows = rng.permutation(len(self.cells.environment))
        parts = (np.array_split(part, len(self)) for part in (rows, self.cells.partners(rows, rng)))
        return Made(list(zip(*parts, strict=True)), self._make)

    def _make(self, plan: tuple[np.ndarray, np.ndarray]) -> Batch:
        (rows, partner), cells = plan, self.cells
        before = cells.twins[rows] if cells.pairing == "counterfactual" else cells.x[partner]
        environment, counts = cells.environment[rows], None
        if cells.counts is not None:
            counts = Counts(tensor(cells.counts[rows]), tensor(cells.library[rows]))
        u = tensor(cells.codes[environment])
        return Batch(tensor(cells.x[rows]), u, tensor(before), torch.from_numpy(environment), counts)


def dense(part: np.ndarray | sp.spmatrix) -> np.ndarray:
    """Rows as a float32 array."""
    return np.asarray(part.toarray() if sp.issparse(part) else part, dtype=np.float32)


def tensor(part: np.ndarray | sp.spmatrix) -> Tensor:
    """Rows as a float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(dense(part)))
