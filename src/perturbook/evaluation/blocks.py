"""What conditions share, so that an interval resamples it whole: a drug its doses and contexts, a double its genes."""

import numpy as np
import pandas as pd

from perturbook.data.gene_labels import genes_of


def block_of(conditions: pd.DataFrame) -> np.ndarray | None:
    """Labels that conditions are resampled by, for `intervals.bootstrap_mean`.

    Args:
        conditions: one row per condition; column perturbation, and dose_um where there are doses. A name with a "+"
            is a double only where no dose is given: drugs such as (+)-JQ1 carry it too.

    Returns:
        Genes, `(conditions, 2)`, "" for the second of a single, where a condition is a double; else the perturbation,
        `(conditions,)`; None where all conditions share one perturbation, because that leaves nothing to resample.

    Source: metrics.md section 8 (dependence).
    """
    names = conditions["perturbation"].to_numpy(str)
    if len(np.unique(names)) < 2:
        return None
    dosed = "dose_um" in conditions and conditions["dose_um"].notna().any()
    genes = [genes_of(name) for name in names]
    if dosed or max(map(len, genes)) != 2:
        return names
    return np.array([(*one, "", "")[:2] for one in genes])
