"""Gene Ontology, biological process, release 2021 as Enrichr distributes it; each name ends in its identifier.

Source: `datasets.md` section 3.7. The ontology has its own terms.
"""

from pathlib import Path

from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.gmt import read_gmt

NAME = "geneset-go-bp"

FILE = PublicFile(
    name="enrichr.GO_Biological_Process_2021.gmt",
    url="https://raw.githubusercontent.com/zqfang/GSEApy/08cb2b689def365f7dee1f5da50c49d3a149cf5a/tests/extdata/enrichr.GO_Biological_Process_2021.gmt",
    sha256="5987ce789053fdd5533393cd65b9abdb5e08e4fade7b0625a1fe234a1207eea4",
    size=1_531_081,
    licence="BSD-3-Clause (zqfang/GSEApy); the ontology has its own terms",
)


@dataset(
    NAME,
    title="Gene Ontology biological processes 2021 (6,036 sets)",
    files=(FILE,),
    cite="geneontology2021",
    cells=False,
)
def prepare(path: Path) -> dict[str, list[str]]:
    """Set name, such as `hemopoiesis (GO:0030097)`, to gene symbols, in the order of the file."""
    return read_gmt(path)
