"""Marker genes of the 77 main cell types of the human fetal atlas of Cao et al. 2020.

By the code beside the file: the protein-coding genes of the paper's Table S4, each in the type that expresses it most,
at most 500 per type in the order of their fold change. Source: `datasets.md` section 3.7.
"""

from pathlib import Path

from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.gmt import read_gmt

NAME = "geneset-celltypes"

FILE = PublicFile(
    name="cell_type_markers.gmt",
    url="https://raw.githubusercontent.com/gao-lab/CASCADE/d62354e0ab44d6ae81f34440ba23b66864d230a3/experiments/H1-Diff/cell_type_markers.gmt",
    sha256="705a7f8303f13d638b80d451333285a097ee334b01117d7262d0d31e4c663592",
    size=127_746,
    licence="MIT (gao-lab/CASCADE)",
)


@dataset(
    NAME, title="Marker genes of human fetal cell types (77 sets)", files=(FILE,), cite="cao2020", cells=False
)
def prepare(path: Path) -> dict[str, list[str]]:
    """Cell type to gene symbols, in the order of the file; six sets repeat a symbol, which is kept once."""
    return read_gmt(path)
