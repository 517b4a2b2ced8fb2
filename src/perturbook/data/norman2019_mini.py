"""Norman et al. 2019: K562 cells with one or two genes activated; a small public part of GSE133344.

Very shallow: 126 counts per cell in these 250 genes (median). Source: `datasets.md` section 3.1.
"""

from pathlib import Path

from anndata import AnnData

from perturbook.data.dataset import dataset
from perturbook.data.perturbench import FILE, prepare_part

NAME = "norman2019-mini"


@dataset(
    NAME,
    title="Norman 2019: K562, CRISPR activation of 18 single genes and 15 pairs (3,375 cells, 250 genes)",
    files=(FILE,),
    cite="norman2019",
)
def prepare(path: Path) -> AnnData:
    """Recover the counts and put this part of the file into the canonical schema (3,375 cells, 250 genes).

    Raises:
        InputError: the values do not give whole counts.
    """
    return prepare_part(
        NAME,
        path,
        "norman19",
        value_kind="counts_recovered",
        recovered="Counts recovered exactly from log1p values; their totals lie within 2 % of the depth in the file.",
    )
