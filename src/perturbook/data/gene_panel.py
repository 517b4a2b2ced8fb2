"""Which genes of a large screen are kept: those that vary most among control cells, and every perturbed one.

Only control cells decide, so that no treated cell of any later test does, and the panel is fixed before there is a
split. A gene that is silent in control cells can therefore not enter by varying: where a response switches genes on,
ask for more genes, or for all of them. Source: dispersion as in Satija et al. 2015 (scanpy's flavour "seurat"),
computed here from sums over blocks of cells; deciding by control cells is our choice.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from perturbook.data.schema import DEPTH

BINS = 20
MIN_CELLS = 10
"""Control cells in which a gene must be detected to be ranked; in fewer its dispersion is that of a few reads."""


@dataclass
class GeneSums:
    """Sums over cells of depth-normalised counts, per gene of the file (genes,)."""

    total: np.ndarray
    squares: np.ndarray
    detected: np.ndarray
    cells: int = 0

    @classmethod
    def zero(cls, n_genes: int) -> "GeneSums":
        """Sums over no cell."""
        return cls(np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes, dtype=np.int64))

    def add(self, counts: sp.csr_matrix) -> None:
        """Add cells, counts (cells, genes)."""
        depth = np.asarray(counts.sum(axis=1, dtype=float)).ravel()
        scaled = counts.data * np.repeat(DEPTH / np.maximum(depth, 1), np.diff(counts.indptr))
        n_genes = len(self.total)
        self.total += np.bincount(counts.indices, scaled, n_genes)
        self.squares += np.bincount(counts.indices, scaled**2, n_genes)
        self.detected += np.bincount(counts.indices, counts.data > 0, n_genes).astype(np.int64)
        self.cells += counts.shape[0]


def variability(sums: GeneSums, ranked: np.ndarray) -> np.ndarray:
    """Dispersion of each gene (genes,), standardised within 20 bins of the mean; NaN where `ranked` is False."""
    mean = sums.total / sums.cells
    variance = (sums.squares - sums.cells * mean**2) / (sums.cells - 1)
    table = pd.DataFrame(
        {
            "d": np.log(np.divide(variance, mean, out=np.ones_like(mean), where=ranked)[ranked]),
            "bin": pd.cut(np.log1p(mean[ranked]), bins=BINS, labels=False),
        }
    )
    groups = table.groupby("bin")["d"]
    alone = groups.transform("size") == 1  # no spread to compare with; 1 as the origin of the method has it
    score = ((table["d"] - groups.transform("mean")) / groups.transform("std")).mask(alone, 1.0)
    out = np.full(len(mean), np.nan)
    out[ranked] = score
    return out


def choose(sums: GeneSums, symbols: pd.Index, number: int, perturbed: Collection[str]) -> np.ndarray:
    """Positions of the kept genes, in the order of the file.

    Args:
        sums: of the control cells.
        symbols: gene symbols of the file (genes,); a symbol that stands more than once is never kept.
        number: most variable genes to keep; 0 keeps all.
        perturbed: symbols kept in any case.
    """
    usable = ~symbols.duplicated(keep=False) & ~symbols.isin(["", "nan"])
    if not number:
        return np.flatnonzero(usable)
    score = variability(sums, usable & (sums.detected >= MIN_CELLS))
    ranking = np.lexsort((np.asarray(symbols, dtype=str), -score))  # NaN comes last; symbols break ties
    top = ranking[:number]
    kept = np.zeros(len(symbols), dtype=bool)
    kept[top[~np.isnan(score[top])]] = True
    return np.flatnonzero(kept | (usable & symbols.isin(list(perturbed))))


def told(number: int, symbols: pd.Index, panel: np.ndarray, perturbed: Collection[str]) -> str:
    """One sentence on the panel, for `uns["origin"]`."""
    if not number:
        return f"All {len(panel):,} of {len(symbols):,} genes whose symbol stands once."
    missing = sorted(set(perturbed) - set(symbols[panel]))
    not_measured = f" Perturbed but not measured: {', '.join(missing)}." if missing else ""
    beside = f" and {len(perturbed) - len(missing):,} perturbed ones" if perturbed else ""
    return (
        f"{len(panel):,} of {len(symbols):,} genes: at most {number:,} that vary most among control cells (detected in "
        f"{MIN_CELLS} or more){beside}. No treated cell decides.{not_measured}"
    )
