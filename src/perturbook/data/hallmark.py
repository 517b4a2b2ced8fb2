"""MSigDB Hallmark v7.0: 50 gene sets, each a well-defined biological state or process.

Source: `datasets.md` section 3.7. MSigDB has its own terms.
"""

from pathlib import Path

from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.gmt import read_gmt

NAME = "geneset-hallmark"

FILE = PublicFile(
    name="h.all.v7.0.symbols.gmt",
    url="https://raw.githubusercontent.com/zqfang/GSEApy/08cb2b689def365f7dee1f5da50c49d3a149cf5a/tests/extdata/h.all.v7.0.symbols.gmt",
    sha256="4803c09aae50bbd96d53fc681bd5545a4c89278993c15145dd7b7c994f893516",
    size=48_334,
    licence="BSD-3-Clause (zqfang/GSEApy); MSigDB has its own terms",
)


@dataset(
    NAME, title="MSigDB Hallmark gene sets v7.0 (50 sets)", files=(FILE,), cite="liberzon2015", cells=False
)
def prepare(path: Path) -> dict[str, list[str]]:
    """Set name to gene symbols, in the order of the file."""
    return read_gmt(path)
