"""The drug table of sci-Plex 3: names, structures and pathways of 187 drugs, as the chemCPA repository keeps it.

The table cuts a name at its first space, so that the 188 compounds of the screen are 187 names here: `ENMD-2076` and
its tartrate fuse. Names hide shared structures, so that splits group by `inchikey14`, of which there are 185.
Source: `datasets.md` section 3.6.
"""

from pathlib import Path

import pandas as pd

from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.molecules import perturbation_table
from perturbook.data.schema import CONTROL

NAME = "sciplex3-drugs"

FILE = PublicFile(
    name="trapnell_drugs_smiles.csv",
    url="https://raw.githubusercontent.com/theislab/chemCPA/43e830eb0958c54e4aa64442c17ec0fed19b3f15/embeddings/trapnell_drugs_smiles.csv",
    sha256="3fe1296157f35d19baf9c3cd80df08a4894a9d3fc6d8695cd0da868d41c26dcc",
    size=14_213,
    licence="MIT (theislab/chemCPA)",
)


@dataset(
    NAME,
    title="Drug table of sci-Plex 3: structures and pathways of 187 drugs, and the control",
    files=(FILE,),
    cite="srivatsan2020",
    cells=False,
)
def prepare(path: Path) -> pd.DataFrame:
    """The table (188 rows: the control, then the drugs in the order of the file).

    Returns:
        Index `perturbation`; columns `smiles` (canonical), `parent_smiles`, `inchikey14`, `pathway`. The control has
        empty strings; its two rows in the file name DMSO.

    Raises:
        InputError: a structure cannot be read, or a drug stands twice.
    """
    # The file has no header: read with one, it would lose its first drug.
    rows = pd.read_csv(path, header=None, names=["name", "smiles", "pathway"], keep_default_na=False)
    drugs = rows[rows["name"] != CONTROL]
    table = perturbation_table(drugs["name"], drugs["smiles"], drugs["pathway"])
    return table.rename(columns={"mechanism": "pathway"})
