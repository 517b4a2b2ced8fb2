"""Zheng et al. 2017: PBMC of one healthy donor, 700 cells and 765 genes; the small file that scanpy ships.

Unperturbed, and without counts: the file keeps a scaled matrix, not for models, and in `raw.X` log1p values rounded to
three decimals. Source: `datasets.md` section 3.4.
"""

from pathlib import Path

import h5py
import pandas as pd
from anndata import AnnData

from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.h5sparse import read_csr, read_table
from perturbook.data.schema import CONTROL, assemble

NAME = "pbmc68k-reduced"

FILE = PublicFile(
    name="10x_pbmc68k_reduced.h5ad",
    url="wheel:scanpy/datasets/10x_pbmc68k_reduced.h5ad",
    sha256="e71d41e737c941559b7c57c9243bdb3d2c889c2adfdf00e3422ac6b46783676f",
    size=1_772_368,
    licence="BSD-3-Clause (scverse/scanpy)",
)


@dataset(
    NAME,
    title="Zheng 2017: human PBMC, unperturbed, 10 labels (700 cells, 765 genes)",
    files=(FILE,),
    cite="zheng2017",
)
def prepare(path: Path) -> AnnData:
    """Put the log-normalised `raw.X` of the file into the canonical schema (700 cells, 765 genes)."""
    with h5py.File(path) as file:
        lognorm, cells, genes = read_csr(file["raw.X"]), read_table(file, "obs"), read_table(file, "raw.var")
    obs = pd.DataFrame(
        {
            "context": cells["bulk_labels"],
            "perturbation": CONTROL,
            "kind": "none",
            "dose_um": 0.0,
            "n_counts": cells["n_counts"],
            "cell_type": cells["bulk_labels"],
        }
    )
    return assemble(
        NAME,
        lognorm,
        obs,
        genes.index,
        value_kind="lognorm",
        lognorm=lognorm.copy(),
        recovered="No counts: X repeats the log1p values of the file's raw.X, which were rounded to three decimals.",
    )
