"""DoRothEA: which human transcription factor regulates which gene, with a confidence from A to E.

For academic use only, as its authors state; they point to CollecTRI as the successor. Reading the file takes about
15 s. Source: `datasets.md` section 3.7.
"""

from pathlib import Path

import pandas as pd

from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.rda import read_rda

NAME = "tf-dorothea"

FILE = PublicFile(
    name="dorothea_hs.rda",
    url="https://raw.githubusercontent.com/saezlab/dorothea/1461fb75e23e110c2281860526d4333920925282/data/dorothea_hs.rda",
    sha256="fd7512dd18f0efcf01be210b652472bf750d70da5c91af12dab455919033f9b0",
    size=894_668,
    licence="GPL-3.0 (saezlab/dorothea); its README says academic use only",
)


@dataset(
    NAME,
    title="DoRothEA: targets of 1,333 human transcription factors, academic use only (454,504 pairs)",
    files=(FILE,),
    cite="garciaalonso2019",
    cells=False,
)
def prepare(path: Path) -> pd.DataFrame:
    """One row per pair of factor and target, in the order of the file (454,504 rows).

    Returns:
        Columns `tf` and `target` (gene symbols), `confidence` (category A to E), `mor` (mode of regulation: 1
        activates, -1 represses).

    Raises:
        InputError: the file is no such R file.
    """
    table = read_rda(path, "dorothea_hs", pd.DataFrame).reset_index(drop=True)
    return table.astype({"tf": object, "target": object, "confidence": "category", "mor": int})
