"""McFaline-Figueroa et al. 2023: nine genes repressed in three glioma lines; a small public part of GSE225775.

Source: `datasets.md` section 3.1.
"""

from pathlib import Path

from anndata import AnnData

from perturbook.data.dataset import dataset
from perturbook.data.perturbench import FILE, prepare_part

NAME = "mcfaline2023-mini"


@dataset(
    NAME,
    title="McFaline-Figueroa 2023: glioma lines A172, T98G, U87MG, CRISPR interference of 9 genes (2,586 cells, 438 genes)",
    files=(FILE,),
    cite="mcfaline2023",
)
def prepare(path: Path) -> AnnData:
    """Recover what look like the counts and put this part of the file into the canonical schema (2,586 cells, 438 genes).

    Raises:
        InputError: the values do not give whole counts.
    """
    return prepare_part(
        NAME,
        path,
        "mcfaline23",
        value_kind="counts_recovered_unverified",
        recovered="Whole counts fit the log1p values, but their totals are 0.36 to 0.99 of the depth in the file: a cell "
        "whose smallest count was 2 would not be noticed.",
    )
