"""What scVI may be given: counts of exactly its genes, in its order."""

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from perturbook.errors import InputError

SHOWN = 5
"""Names that a message lists."""


def counts_of(cells: AnnData, genes: list[str]) -> sp.csr_matrix:
    """Counts `(cells, genes)` of named genes in the order asked for, CSR float32.

    Raises:
        InputError: gene names repeat or genes are missing; values are negative, not finite or not whole; cells have no
            count in any of the genes.

    Source: `datasets.md` section 1 (a model that needs counts refuses anything else).
    """
    names = cells.var_names
    if not names.is_unique:
        raise InputError(
            f"Gene {names[names.duplicated()][0]} occurs more than once in var; merge or drop it."
        )
    at = names.get_indexer(genes)
    if (missing := np.flatnonzero(at < 0)).size:
        raise InputError(
            f"{len(missing)} of the {len(genes)} genes of the scVI model are missing, such as "
            f"{_some(np.array(genes)[missing])}; give the cells with all genes the model was trained on."
        )
    counts = sp.csr_matrix(cells.X, dtype=np.float32)[:, at]
    _check_counts(counts.data, str(cells.uns.get("value_kind", "")))
    empty = np.flatnonzero(np.asarray(counts.sum(axis=1)).ravel() == 0)
    if empty.size:
        raise InputError(
            f"{len(empty)} of {cells.n_obs} cells have no count in the genes of the scVI model, such as "
            f"{_some(cells.obs_names[empty].to_numpy())}; leave them out."
        )
    return counts


def _check_counts(values: np.ndarray, kind: str) -> None:
    """Raise InputError unless all values are whole, finite and not negative."""
    for wrong, what in (
        (~np.isfinite(values), "are not finite"),
        (values < 0, "are negative"),
        (values != np.round(values), "are not whole"),
    ):
        if count := int(wrong.sum()):
            says = f" (the data set says that X holds {kind})" if kind else ""
            raise InputError(
                f"scVI needs counts, but {count:,} of {values.size:,} non-zero values of X {what}, such as "
                f"{values[wrong][0]:g}{says}; put raw counts into X."
            )


def _some(names: np.ndarray) -> str:
    return ", ".join(map(str, names[:SHOWN]))
