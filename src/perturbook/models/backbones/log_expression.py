"""The values that linear backbones look at: log1p of counts per 10,000, whatever a data set holds.

Source: `datasets.md` section 1; what is taken as counts without being declared is our choice.
"""

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.schema import COUNT_KINDS, VALUE_KINDS, normalise
from perturbook.errors import InputError


def log_expression(cells: AnnData, genes: list[str]) -> sp.csr_matrix:
    """log1p(1e4 * counts / total) of named genes, `(cells, genes)` CSR float32, in the order asked for.

    The total of a cell is `obs["n_counts"]` where the data set is declared as counts and has it, else its sum over these
    genes. Values declared as logarithms are taken as they stand; undeclared ones must be whole numbers.

    Raises:
        InputError: values that are neither; a cell without any count.
    """
    picked = sp.csr_matrix(cells.X)[:, cells.var_names.get_indexer(genes)]
    kind = cells.uns.get("value_kind")
    if kind in VALUE_KINDS and kind not in COUNT_KINDS:
        return picked.astype(np.float32)
    if bad := int((picked.data != np.round(picked.data)).sum()):
        raise InputError(
            f"{bad:,} of {picked.data.size:,} values are not whole, so they are no counts. Name a layer of counts, or declare "
            'uns["value_kind"] as lognorm if they are log1p of counts per 10,000.'
        )
    declared = kind in COUNT_KINDS and "n_counts" in cells.obs
    totals = cells.obs["n_counts"].to_numpy(float) if declared else picked.sum(axis=1, dtype=float).A1
    if not (totals > 0).all():
        raise InputError(f"{int((~(totals > 0)).sum()):,} cells have no count at all; leave them out.")
    return normalise(picked, totals)
