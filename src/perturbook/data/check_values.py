"""Checks of the values: storage, finite, non-negative, whole counts, and a `lognorm` that inverts to them.

All work on the stored entries of a sparse matrix, in blocks of cells; nothing is made dense. Source: `datasets.md` sections 1 and 5.
"""

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.blocks import row_totals
from perturbook.data.findings import cells_where, share, three
from perturbook.data.schema import COUNT_KINDS, DEPTH, LOGNORM
from perturbook.errors import InputError

MIN_RANK_AGREEMENT = 0.3  # Spearman of n_counts and row totals, datasets.md section 5
MIN_CELLS_FOR_RANKS = 20  # below it a rank correlation under 0.3 can be chance; our choice
INVERSION = 1e-3  # relative spread of expm1(lognorm) / counts within a cell, far above float32 rounding
SCALE = (0.5, 2.0)  # median total of expm1(lognorm) over 1e4; recovered depths reach 0.87, other scales 0.18


def matrices(adata: AnnData) -> dict:
    """The matrices to check, by the name a message gives them."""
    return {"X": adata.X} | (
        {f'layers["{LOGNORM}"]': adata.layers[LOGNORM]} if LOGNORM in adata.layers else {}
    )


def stored(matrix) -> np.ndarray:
    """Stored values of a sparse matrix, all values of a dense one, flat."""
    return matrix.data if sp.issparse(matrix) else np.asarray(matrix).ravel()


def storage(adata: AnnData) -> None:
    """float32 throughout; CSR except for `log_intensity`, whose values have no zeros; `lognorm` where it must be."""
    intensity = adata.uns["value_kind"] == "log_intensity"
    if not intensity and LOGNORM not in adata.layers:
        raise InputError(f'layers["{LOGNORM}"] is missing: log1p(1e4 * counts / n_counts), CSR float32.')
    for where, matrix in matrices(adata).items():
        found = getattr(matrix, "format", "")  # scipy's matrices and those on disk have one
        if not intensity and found != "csr":
            found = found.upper() or "dense"
            raise InputError(f"{where} is {found}, expected CSR: convert it with scipy.sparse.csr_matrix.")
        if matrix.dtype != np.float32:
            raise InputError(f"{where} has type {matrix.dtype}, expected float32.")


def finite(adata: AnnData) -> None:
    """No NaN and no infinity; a gene that is NaN in every cell is named as such."""
    for where, matrix in matrices(adata).items():
        missing = np.isnan(stored(matrix))
        if missing.any():
            coordinates = sp.coo_matrix(matrix)
            per_gene = np.bincount(coordinates.col[np.isnan(coordinates.data)], minlength=adata.n_vars)
            all_missing = adata.var_names[per_gene == adata.n_obs]
            if len(all_missing):
                raise InputError(
                    f"{where} is NaN in every cell for {len(all_missing)} genes: {three(all_missing)}. Drop them."
                )
            raise InputError(
                f"{where} has NaN in {share(missing, 'stored values')}, genes {three(adata.var_names[per_gene > 0])}."
            )
        endless = np.isinf(stored(matrix))
        if endless.any():
            raise InputError(f"{where} has infinite values: {share(endless, 'stored values')}.")


def non_negative(adata: AnnData) -> None:
    """Counts and log-normalised values are never negative."""
    for where, matrix in matrices(adata).items():
        bad = stored(matrix) < 0
        if bad.any():
            raise InputError(
                f"{where} has negative values: {share(bad, 'stored values')}, lowest {stored(matrix).min():.4g}. "
                "It looks scaled or centred; give the values before scaling."
            )


def counts_whole(adata: AnnData) -> None:
    """Declared counts are whole numbers."""
    if adata.uns["value_kind"] not in COUNT_KINDS:
        return
    bad = adata.X.data != np.round(adata.X.data)
    if bad.any():
        cells = np.repeat(np.arange(adata.n_obs), np.diff(adata.X.indptr))
        told = [
            f"{adata.X.data[i]:.6g} ({adata.obs_names[cells[i]]}, {adata.var_names[adata.X.indices[i]]})"
            for i in np.flatnonzero(bad)[:3]
        ]
        raise InputError(
            f"X is declared as {adata.uns['value_kind']} but {share(bad, 'stored values')} are not whole: {', '.join(told)}. "
            'Give counts, or declare uns["value_kind"] as lognorm.'
        )


def lognorm_is_logarithmic(adata: AnnData) -> None:
    """`lognorm` is on the scale of log1p of 1e4 per cell: not raw counts, nothing above log1p(1e4)."""
    values = stored(adata.layers[LOGNORM]) if LOGNORM in adata.layers else np.array([])
    if not values.size:
        return
    if values.max() > 1 and np.array_equal(values, np.round(values)):
        raise InputError(
            f'layers["{LOGNORM}"] looks like raw counts: all values whole, highest {values.max():g}.'
        )
    if values.max() > np.log1p(DEPTH) + 1e-3:
        raise InputError(
            f'layers["{LOGNORM}"] reaches {values.max():.4g}, above log1p(1e4) = {np.log1p(DEPTH):.4g}: '
            "it is not log1p of values scaled to 1e4 per cell."
        )


def lognorm_inverts(adata: AnnData) -> None:
    """expm1(lognorm) is proportional to the counts within each cell; X repeats lognorm where there are no counts."""
    if adata.uns["value_kind"] == "lognorm":
        if (adata.X != adata.layers[LOGNORM]).nnz:
            raise InputError(f'value_kind is lognorm, so X must repeat layers["{LOGNORM}"]; they differ.')
        return
    if adata.uns["value_kind"] not in COUNT_KINDS:
        return
    counts, logs = _without_zeros(adata.X), _without_zeros(adata.layers[LOGNORM])
    if not (np.array_equal(counts.indptr, logs.indptr) and np.array_equal(counts.indices, logs.indices)):
        raise InputError(
            f'layers["{LOGNORM}"] and X are non-zero in different places; compute one from the other.'
        )
    ratio = np.expm1(logs.data.astype(float)) / counts.data
    cell = np.repeat(np.arange(adata.n_obs), np.diff(counts.indptr))
    entries = np.bincount(cell, minlength=adata.n_obs)
    scale = np.bincount(cell, ratio, adata.n_obs) / np.maximum(entries, 1)
    bad = np.bincount(cell, np.abs(ratio - scale[cell]) > INVERSION * scale[cell], adata.n_obs) > 0
    if bad.any():
        raise InputError(
            f'expm1(layers["{LOGNORM}"]) is not proportional to X in {cells_where(bad, adata.obs_names)}: '
            "another logarithm, or values scaled after it."
        )


def _without_zeros(matrix) -> sp.csr_matrix:
    tidy = sp.csr_matrix(matrix, copy=True)
    tidy.sum_duplicates()
    tidy.eliminate_zeros()
    return tidy


def lognorm_scaled(adata: AnnData) -> None:
    """expm1(lognorm) is on the scale of 1e4 / n_counts."""
    if adata.uns["value_kind"] not in COUNT_KINDS:
        return
    counts, scaled = row_totals(adata.X), row_totals(adata.layers[LOGNORM], np.expm1)
    filled = counts > 0
    total = np.median(scaled[filled] / counts[filled] * adata.obs["n_counts"].to_numpy()[filled])
    if not SCALE[0] <= total / DEPTH <= SCALE[1]:
        raise InputError(f'layers["{LOGNORM}"] is scaled to {total:,.0f} per cell (median), expected 1e4.')


def depth_agrees(adata: AnnData) -> None:
    """`n_counts` is positive, not below the cell's total in X, and agrees with these totals in rank."""
    if adata.uns["value_kind"] == "log_intensity":
        return
    depth = adata.obs["n_counts"].to_numpy(dtype=float)
    bad = ~(np.isfinite(depth) & (depth > 0))
    if bad.any():
        raise InputError(
            f"obs['n_counts'] must be positive: {cells_where(bad, adata.obs_names, lambda i: f'{depth[i]:g}')}."
        )
    if adata.uns["value_kind"] not in COUNT_KINDS:
        return
    total = row_totals(adata.X)
    bad = total > depth * (1 + 1e-6)
    if bad.any():
        told = cells_where(bad, adata.obs_names, lambda i: f"{depth[i]:g} below {total[i]:g}")
        raise InputError(f"obs['n_counts'] is below the cell's own total in X in {told}.")
    if adata.n_obs < MIN_CELLS_FOR_RANKS or np.ptp(total) == 0 or np.ptp(depth) == 0:
        return
    from scipy.stats import spearmanr

    agreement = spearmanr(depth, total).statistic
    if agreement <= MIN_RANK_AGREEMENT:
        raise InputError(
            f"obs['n_counts'] does not follow the totals of X: Spearman {agreement:.3f}, expected above "
            f"{MIN_RANK_AGREEMENT}. The column and the matrix are of different cells, or in different orders."
        )
