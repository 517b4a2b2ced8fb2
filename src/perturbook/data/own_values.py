"""What a reader's values are, told from the values: counts, or log-normalised values that come from counts.

Looked at in this order: `layers["counts"]`, `X`, `raw`. Source: `datasets.md` sections 1 and 5; the order, the
tolerances are our choice.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.check_genes import ENSEMBL
from perturbook.data.check_values import finite, non_negative, stored
from perturbook.data.findings import three
from perturbook.data.recovered_counts import counts_of_smallest
from perturbook.data.schema import DEPTH
from perturbook.errors import InputError

SYMBOL_COLUMNS = ("gene_symbols", "gene_symbol", "gene_names", "gene_name", "feature_name", "symbol")
DEPTH_COLUMNS = ("n_counts", "total_counts", "nCount_RNA")
SAME_TOTAL = 1e-3  # relative spread of totals that are one number up to float32
WHOLE = 5e-3  # distance of a count from a whole number; float32 logarithms reach 1.5e-3 at a count of 5,000


@dataclass(frozen=True)
class Values:
    """The values of a file, as they were recognised."""

    x: sp.csr_matrix | np.ndarray
    """(cells, genes) float32: counts, log-normalised values or log intensities."""
    n_counts: np.ndarray
    """(cells,) total counts of the cell over all genes of its matrix; NaN for log intensities."""
    value_kind: str
    """One of `schema.VALUE_KINDS`."""
    said: str
    """What they were recognised as, one sentence."""


def recognise(adata: AnnData) -> Values:
    """Find the counts of a file, or else its log-normalised values.

    `uns["value_kind"]` may say what cannot be seen: "log_intensity", or "lognorm" for values that were rounded.

    Raises:
        InputError: the values are neither, with what to do next.
    """
    declared = adata.uns.get("value_kind")
    if declared == "log_intensity":
        x = np.asarray(adata.X.toarray() if sp.issparse(adata.X) else adata.X, dtype=np.float32)
        return Values(x, np.full(adata.n_obs, np.nan), declared, "X holds log intensities, as declared.")
    if "counts" in adata.layers and not _whole(adata.layers["counts"]):
        raise InputError(
            'layers["counts"] is not whole and non-negative; put raw counts there, or remove it.'
        )
    held = {'layers["counts"]': adata.layers.get("counts"), "X": adata.X} | _raw(adata)
    for where, matrix in held.items():
        if matrix is not None and declared != "lognorm" and _whole(matrix):
            total = np.asarray((adata.raw.X if where == "raw" else matrix).sum(axis=1, dtype=float)).ravel()
            return Values(_csr(matrix), total, "counts", f"Counts as they stand in {where}.")
    for where in ("X", "raw"):
        if held.get(where) is not None and (
            found := _log_normalised(_csr(held[where], float), adata.obs_names, where)
        ):
            return found
    finite(adata)
    non_negative(adata)
    if declared == "lognorm":
        return Values(
            _csr(adata.X), _depth(adata), declared, "X is log1p of 1e4 counts per cell, as declared."
        )
    raise InputError(
        f"X holds neither whole counts nor log1p of scaled counts (highest value {stored(adata.X).max():.4g}). "
        'Put raw counts into layers["counts"], or declare uns["value_kind"] as lognorm or log_intensity.'
    )


def _csr(matrix, dtype=np.float32) -> sp.csr_matrix:
    """A copy in CSR, one entry per place, none of them zero."""
    tidy = sp.csr_matrix(matrix, dtype=dtype, copy=True)
    tidy.sum_duplicates()
    tidy.eliminate_zeros()
    return tidy


def _whole(matrix) -> bool:
    values = stored(matrix)
    return bool(
        (values >= 0).all() and np.isfinite(values).all() and np.array_equal(values, np.round(values))
    )


def _raw(adata: AnnData) -> dict:
    """The values of `raw` for the genes of the file, where it has all of them once."""
    raw = adata.raw
    if raw is None or not raw.var_names.is_unique or not adata.var_names.isin(raw.var_names).all():
        return {}
    return {"raw": raw.X[:, raw.var_names.get_indexer(adata.var_names)]}


def _depth(adata: AnnData) -> np.ndarray:
    for column in DEPTH_COLUMNS:
        if column in adata.obs:
            return adata.obs[column].to_numpy(dtype=float)
    raise InputError(
        f"obs has no total counts for declared log-normalised values; add one of {', '.join(DEPTH_COLUMNS)}."
    )


def _log_normalised(logs: sp.csr_matrix, names, where: str) -> Values | None:
    """Values whose expm1 is proportional to whole numbers in each cell, on the scale of 1e4 per cell; else None."""
    values = logs.data
    if not values.size or not np.isfinite(values).all() or values.min() < 0 or values.max() > 50:
        return None
    try:
        _, depth = counts_of_smallest(logs, names, where, tolerance=WHOLE)
    except InputError:
        return None
    scaled = logs.copy()
    scaled.data = np.expm1(values)
    total = np.asarray(scaled.sum(axis=1)).ravel()
    per_cell = np.median(total[total > 0])
    if np.ptp(total[total > 0]) <= SAME_TOTAL * per_cell:
        said = f"expm1 of {where} sums to {per_cell:,.5g} in every cell"
        if abs(per_cell / DEPTH - 1) > SAME_TOTAL:
            logs.data = np.log1p(scaled.data * (DEPTH / per_cell))
            said += " and was brought to 1e4"
    elif total.max() > DEPTH * (1 + SAME_TOTAL):
        raise InputError(
            f"expm1 of {where} sums to between {total.min():,.5g} and {total.max():,.5g} per cell: not log1p of values "
            'scaled to 1e4. Put raw counts into layers["counts"].'
        )
    else:
        per_cell, said = (
            DEPTH,
            f"{where} was taken as scaled to 1e4 per cell, which a selection of genes cannot show",
        )
    return Values(
        logs.astype(np.float32),
        per_cell / DEPTH * depth,
        "lognorm",
        f"Log-normalised values: expm1 of {where} is proportional to whole numbers in every cell; {said}.",
    )


def gene_symbols(adata: AnnData) -> tuple[pd.Index, pd.Index | None, str]:
    """Symbols of the genes, their Ensembl ids where the file is named by these, and a sentence on it.

    Raises:
        InputError: a symbol column names two ids alike.
    """
    names = adata.var_names.astype(str)
    column = next((one for one in SYMBOL_COLUMNS if one in adata.var), None)
    if column is None or sum(map(bool, map(ENSEMBL.fullmatch, names))) <= len(names) / 2:
        return names, None, ""
    texts = adata.var[column].astype(object)
    symbols = pd.Index(np.where(texts.isna() | (texts == ""), names, texts.astype(str)), dtype=object)
    if not symbols.is_unique:
        twice = symbols[symbols.duplicated()].unique()
        raise InputError(
            f"var[{column!r}] gives {len(twice)} symbols to more than one Ensembl id: {three(twice)}. Keep one of each."
        )
    return symbols, names, f" Symbols from var[{column!r}]; Ensembl ids kept as gene_id."
