"""10x Genomics PBMC 3k: PBMC of one healthy donor, unperturbed, with the nine labels of the Seurat tutorial.

Two R files: the log-normalised matrix, and the table of its cells. Source: `datasets.md` section 3.3.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.rda import read_rda
from perturbook.data.recovered_counts import counts_of_total
from perturbook.data.schema import CONTROL, DEPTH, assemble
from perturbook.errors import InputError

NAME = "pbmc3k"
TOLERANCE = 1e-6  # distance of a recovered count from a whole number; the largest in the file is below 1e-12

MATRIX = PublicFile(
    name="pbmc_matrix.rda",
    url="https://raw.githubusercontent.com/rnabioco/clustifyr/317bf51ef008cb198ec79dbef49dbc2afbd31886/data/pbmc_matrix.rda",
    sha256="c8901a9fd9e9a4afa54e547d496eaa32c6a2061321e17b046ac61e158871b872",
    size=3_081_524,
    licence="MIT (rnabioco/clustifyr)",
)
META = PublicFile(
    name="pbmc_meta.rda",
    url="https://raw.githubusercontent.com/rnabioco/clustifyr/0097813c1c36f4a8a84b0f4cc3a4449c46d070e8/data/pbmc_meta.rda",
    sha256="df238012d0de5b5ad60009cbce75ad8390899d2decf6944ecf2dfc8bca283e5b",
    size=55_536,
    licence="MIT (rnabioco/clustifyr)",
)


@dataset(
    NAME,
    title="10x PBMC 3k: human PBMC, unperturbed, 9 cell types (2,638 cells, 13,714 genes)",
    files=(MATRIX, META),
    cite="zheng2017",
)
def prepare(matrix: Path, meta: Path) -> AnnData:
    """Recover the counts and put both files into the canonical schema (2,638 cells, 13,714 genes).

    Raises:
        InputError: a file is no such R file, the two are of different cells, or a recovered count is not whole.
    """
    slots, cells = read_rda(matrix, "pbmc_matrix", SimpleNamespace), read_rda(meta, "pbmc_meta", pd.DataFrame)
    genes, names = slots.Dimnames
    if list(cells.index) != list(names):
        raise InputError(
            f"The {len(cells):,} rows of {meta} are not the {len(names):,} columns of {matrix} in the same order; "
            "fetch both files again."
        )
    # R stores genes x cells by column, which is cells x genes by row.
    lognorm = sp.csr_matrix((slots.x, slots.i, slots.p), shape=(len(names), len(genes)))
    lognorm.sort_indices()
    depth = cells["nCount_RNA"].to_numpy(dtype=float)
    obs = pd.DataFrame(
        {
            "context": cells["classified"],
            "perturbation": CONTROL,
            "kind": "none",
            "dose_um": 0.0,
            "n_counts": depth,
            "cell_type": cells["classified"],
        }
    )
    return assemble(
        NAME,
        counts_of_total(lognorm, DEPTH / depth, TOLERANCE, str(matrix)),
        obs,
        genes,
        value_kind="counts_recovered",
        recovered="Counts recovered exactly from log1p values scaled to 1e4 per cell.",
        lognorm=lognorm.astype(np.float32),
    )
