"""Kang et al. 2018: PBMC of lupus patients, at rest and stimulated with interferon beta; a small public extract.

No donor column exists in this file, so that cells of one donor can stand on both sides of any split.
Source: `datasets.md` section 3.2.
"""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.h5sparse import read_csr, read_table
from perturbook.data.recovered_counts import counts_of_total
from perturbook.data.schema import CONTROL, assemble

NAME = "kang2018-mini"
ORIGIN_DEPTH = 1832.5  # the total every cell of the file was scaled to before log1p
TOLERANCE = 1e-3  # distance of a recovered count from a whole number; the largest in the file is 6.4e-4

FILE = PublicFile(
    name="scgen_kang_valid.h5ad",
    url="https://raw.githubusercontent.com/theislab/scgen/dd7e178f9b42b9dfef9eb18d0da4b8e3caea4cf7/data/valid.h5ad",
    sha256="83f89f5356a4c01f65bbcee225eb45d8d8b13b6c962724431a26c1bf568ff09e",
    size=2_321_480,
    licence="GPL-3.0 (theislab/scgen; no licence file at this early commit)",
)


@dataset(
    NAME,
    title="Kang 2018: human PBMC of seven cell types, control and IFN-beta (1,975 cells, 6,998 genes)",
    files=(FILE,),
    cite="kang2018",
)
def prepare(path: Path) -> AnnData:
    """Recover the counts and put the file into the canonical schema (1,975 cells, 6,998 genes).

    Raises:
        InputError: a recovered count is not whole.
    """
    with h5py.File(path) as file:
        x, cells, genes = read_csr(file["X"]), read_table(file, "obs"), read_table(file, "var")
    obs = pd.DataFrame(
        {
            "context": cells["cell_type"],
            "perturbation": cells["condition"].map({"control": CONTROL, "stimulated": "IFN-beta"}),
            "kind": "cytokine",
            "dose_um": np.where(cells["condition"] == "control", 0.0, np.nan),
            "n_counts": cells["n_counts"],
            "cell_type": cells["cell_type"],
        }
    )
    return assemble(
        NAME,
        counts_of_total(x, ORIGIN_DEPTH / cells["n_counts"].to_numpy(dtype=float), TOLERANCE, str(path)),
        obs,
        genes.index,
        value_kind="counts_recovered",
        recovered="Counts recovered exactly from log1p values scaled to 1,832.5 per cell; no donor labels in the file.",
    )
