"""The cells of the latents study: control and single perturbations of `norman2019-mini`, a quarter of them held out.

Source: `perturbedvae.md` section 6; which biology is asked for is our choice.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import data
from perturbook.data.cell_cycle import G2_M, S_PHASE
from perturbook.data.norman2019_mini import NAME
from perturbook.data.schema import CONTROL, expression

HELD = 4
"""One cell in so many of each condition is held out. Source: our choice."""
FEWEST = 3
"""Fewest measured genes from which a score of a cell is made. Source: our choice."""
HAEMOGLOBIN = frozenset("HBA1 HBA2 HBB HBD HBE1 HBG1 HBG2 HBM HBQ1 HBZ".split())
"""Genes of haemoglobin, of which these leukaemia cells make very different amounts."""
SETS = {"S phase": S_PHASE, "G2 and M": G2_M, "Haemoglobin": HAEMOGLOBIN}
"""Biology of a cell that a perturbation need not touch: name -> genes whose mean expression is its score."""
DEPTH = "Sequencing depth"


@dataclass(frozen=True)
class Screen:
    """Control cells and single perturbations, sorted by name, and which of them are held out."""

    cells: AnnData
    held: np.ndarray
    """`(cells,)` boolean."""

    @classmethod
    def load(cls) -> "Screen":
        """The cells of the study; raises DataUnavailable where they cannot be had."""
        adata = data.load(NAME)
        single = ~adata.obs["perturbation"].astype(str).str.contains("+", regex=False).to_numpy()
        return cls.of(adata[single])

    @classmethod
    def of(cls, adata: AnnData) -> "Screen":
        """Sort cells and hold a share of each condition out, the same at every call."""
        adata = adata[np.argsort(adata.obs_names.to_numpy(str))].copy()
        rng, held = np.random.default_rng(0), np.zeros(adata.n_obs, bool)
        labels = adata.obs["perturbation"].astype(str).to_numpy()
        for name in np.unique(labels):
            own = rng.permutation(np.flatnonzero(labels == name))
            held[own[: len(own) // HELD]] = True
        return cls(adata, held)

    @cached_property
    def labels(self) -> np.ndarray:
        """Perturbation of each cell `(cells,)`."""
        return self.cells.obs["perturbation"].astype(str).to_numpy()

    @cached_property
    def x(self) -> np.ndarray:
        """Expression `(cells, genes)`, dense."""
        values = expression(self.cells)
        return np.asarray(values.toarray() if hasattr(values, "toarray") else values, np.float32)

    def permuted(self, draw: int) -> "Screen":
        """The same cells with labels dealt anew, held-out cells among themselves; draw 0 is the screen as it is."""
        if not draw:
            return self
        rng, labels, adata = np.random.default_rng([draw, HELD]), self.labels.copy(), self.cells.copy()
        for part in (self.held, ~self.held):
            labels[part] = rng.permutation(labels[part])
        adata.obs["perturbation"] = pd.Categorical(labels)
        adata.obs["is_control"] = labels == CONTROL
        return Screen(adata, self.held)

    def biology(self) -> dict[str, np.ndarray]:
        """What a cell has whatever was done to it, minus the mean of its condition over the cells not held out.

        Returns:
            Log of all counts of the whole cell, and the mean expression of the measured genes of each of `SETS`, each
            `(cells,)`; NaN where fewer than `FEWEST` of a set are measured.
        """
        found = {DEPTH: np.log(self.cells.obs["n_counts"].to_numpy(float))}
        for name, wanted in SETS.items():
            own = self.measured(wanted)
            blank = np.full(len(self.labels), np.nan)
            found[name] = self.x[:, own].mean(axis=1).astype(float) if own.sum() >= FEWEST else blank
        for values in found.values():
            for name in np.unique(self.labels):
                own = self.labels == name
                values[own] -= values[own & ~self.held].mean()
        return found

    def measured(self, genes: Collection[str]) -> np.ndarray:
        """True for measured genes that are among `genes`, `(genes,)`."""
        return np.isin(self.cells.var_names.to_numpy(str), list(genes))
