"""Per-condition means and variances over cells: what every mean-based score and most floors are made of."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.blocks import row_blocks
from perturbook.data.exact_sum import ExactSum
from perturbook.data.schema import condition_keys, expression


@dataclass(frozen=True)
class Profiles:
    """One row per condition, sorted by condition key."""

    obs: pd.DataFrame
    """Index: condition key; columns `context perturbation dose_um is_control n_cells`."""
    mean: np.ndarray
    """(conditions, genes) float64, mean of `lognorm` over the cells of the condition."""
    variance: np.ndarray
    """(conditions, genes) float64, unbiased (n - 1); NaN where a condition has one cell."""
    genes: np.ndarray
    """(genes,) gene symbols."""


def pseudobulk(adata: AnnData) -> Profiles:
    """Mean and variance of `lognorm` per condition, in blocks of cells, from memory or from disk.

    Sums are exact (`exact_sum`), so that the result is bit for bit the same whatever the order of the rows and the size
    of the blocks. The variance is taken about the mean, which a difference of squares would lose for small values;
    values are therefore read three times: for their range, their sums, and their squared deviations.

    Source: our choice.
    """
    conditions = pd.Categorical(condition_keys(adata.obs))
    code, names = conditions.codes.astype(np.int64), conditions.categories
    cells = np.bincount(code, minlength=len(names)).astype(float)
    values, shape = expression(adata), (len(names), adata.n_vars)

    bound = max((_largest(block.data) for _, block in _sparse_blocks(values)), default=0.0)
    sums, stored = ExactSum(math.prod(shape), adata.n_obs, bound), np.zeros(math.prod(shape))
    for rows, block in _sparse_blocks(values):
        places = _places(code[rows], block)
        sums.add(places, block.data)
        np.add.at(stored, places, 1.0)
    mean = sums.total.reshape(shape) / cells[:, None]

    squares = ExactSum(math.prod(shape), adata.n_obs, (2 * bound) ** 2)
    for rows, block in _sparse_blocks(values):
        places = _places(code[rows], block)
        squares.add(places, (block.data - mean.ravel()[places]) ** 2)
    zeros = cells[:, None] - stored.reshape(shape)
    total = squares.total.reshape(shape) + zeros * mean**2
    variance = np.where(cells[:, None] > 1, total / np.maximum(cells - 1, 1)[:, None], np.nan)

    _, first = np.unique(code, return_index=True)
    obs = adata.obs.iloc[first][["context", "perturbation", "dose_um", "is_control"]].copy()
    obs = obs.assign(
        context=obs["context"].astype(str),
        perturbation=obs["perturbation"].astype(str),
        n_cells=cells.astype(int),
    )
    obs.index = pd.Index(names, dtype=object, name="condition")
    return Profiles(obs=obs, mean=mean, variance=variance, genes=adata.var_names.to_numpy())


def _sparse_blocks(values) -> Iterator[tuple[slice, sp.csr_matrix]]:
    """Blocks of rows, CSR float64."""
    for rows, block in row_blocks(values):
        yield rows, sp.csr_matrix(block, dtype=float)


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _places(code: np.ndarray, block: sp.csr_matrix) -> np.ndarray:
    """Position of every stored value in a flat (conditions, genes)."""
    return np.repeat(code * block.shape[1], np.diff(block.indptr)) + block.indices
