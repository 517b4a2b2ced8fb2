"""The development file of PerturBench: parts of two CRISPR screens in one outer join of their genes.

The join filled genes that a screen had not measured with zeros, so that each part is taken by itself, with the genes
that are non-zero in any of its cells. A gene that is activated in one part is repressed in the other: they must not be
pooled. Source: `datasets.md` section 3.1.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData, read_h5ad

from perturbook.data.dataset import PublicFile
from perturbook.data.gene_labels import normalise
from perturbook.data.recovered_counts import counts_of_smallest
from perturbook.data.schema import CONTROL, assemble

FILE = PublicFile(
    name="perturbench_devel.h5ad",
    url="https://raw.githubusercontent.com/altoslabs/perturbench/d357dfae3b50968e800e9f5f273ff145080ae67c/src/perturbench/data/resources/devel.h5ad",
    sha256="220998f5630c813228c8661c86dd52244b9ac87127511289af90e0d900d8429b",
    size=1_142_678,
    licence="BSD-3-Clause (altoslabs/perturbench)",
)
LINES = {"k562": "K562"}  # the other lines are written as usual


def prepare_part(name: str, path: Path, part: str, *, value_kind: str, recovered: str) -> AnnData:
    """The cells whose `dataset` is `part`, with recovered counts and the origin's own `lognorm`.

    Labels come from `condition`; `perturbation_raw` writes MAP3K21 by its old name KIAA1804.

    Raises:
        InputError: the values do not give whole counts.
    """
    both = read_h5ad(path)
    cells = both.obs[both.obs["dataset"] == part]
    x = both[cells.index].X.tocsr()
    measured = np.asarray((x != 0).sum(axis=0)).ravel() > 0
    lognorm = sp.csr_matrix(x[:, measured])
    lognorm.sort_indices()
    counts, _ = counts_of_smallest(lognorm, cells.index, str(path))
    perturbation = normalise(cells["condition"], ())
    obs = pd.DataFrame(
        {
            "context": cells["cell_type"].astype(str).replace(LINES),
            "perturbation": perturbation,
            "kind": cells["perturbation_type"],
            # The file's `dose` counts guides (`1`, `1+1`); a guide has no concentration.
            "dose_um": np.where(perturbation == CONTROL, 0.0, np.nan),
            "n_counts": cells["ncounts"],
        }
    )
    return assemble(
        name,
        counts,
        obs,
        list(both.var_names[measured]),  # without the name of the origin's index
        value_kind=value_kind,
        recovered=recovered,
        lognorm=lognorm.astype(np.float32),
    )
