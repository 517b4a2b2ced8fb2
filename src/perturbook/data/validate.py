"""The order of the checks every data set passes, a registry entry or a reader's own, before anything is computed."""

from anndata import AnnData

from perturbook.data import check_composites, check_genes, check_labels, check_structures, check_values
from perturbook.data.blocks import cell_blocks
from perturbook.errors import InputError

LABEL_CHECKS = (
    check_labels.not_empty,
    check_labels.names_unique,
    # Content first: a table that was shuffled is refused as such, whatever its columns are called.
    check_composites.composites_agree,
    check_structures.one_structure_per_name,
    check_labels.columns_present,
    check_labels.column_types,
    check_labels.value_kind_known,
    check_genes.genes_are_symbols,
    check_labels.labels_complete,
    check_labels.kinds_known,
    check_labels.control_spelled_once,
    check_structures.structure_table,
    check_genes.perturbed_genes_are_symbols,
    check_genes.genes_sorted_in_labels,
    check_labels.is_control_agrees,
    check_labels.doses_possible,
    check_labels.contexts_have_controls,
    check_labels.something_perturbed,
    check_labels.keys_unique,
    check_values.storage,
)
VALUE_CHECKS = (
    check_values.finite,
    check_values.non_negative,
    check_values.counts_whole,
    check_values.lognorm_is_logarithmic,
    check_values.lognorm_inverts,
)
"""Checks of cells one by one, made in blocks of them."""
DEPTH_CHECKS = (check_values.lognorm_scaled, check_values.depth_agrees)
"""Checks of totals over all cells."""
CHECKS = LABEL_CHECKS + VALUE_CHECKS + DEPTH_CHECKS


def validate(adata: AnnData) -> AnnData:
    """Return `adata` unchanged if it holds what the canonical schema says and agrees with itself.

    Each check has its own message, which names the columns, the share of cells and three examples. Values are read in
    blocks of cells, from memory or from disk; sparse matrices stay sparse. Nothing is repaired.

    Raises:
        InputError: the first check that fails.

    Source: `datasets.md` sections 1 and 5.
    """
    for check in LABEL_CHECKS:
        check(adata)
    for rows, block in cell_blocks(adata):
        try:
            for check in VALUE_CHECKS:
                check(block)
        except InputError as error:
            if block.n_obs == adata.n_obs:
                raise
            raise InputError(f"Cells {rows.start + 1:,} to {rows.stop:,}: {error}") from error
    for check in DEPTH_CHECKS:
        check(adata)
    return adata
