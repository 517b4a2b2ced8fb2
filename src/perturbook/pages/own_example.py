"""The own-data chapter: errors put into a reader's file, and what the file is told."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from anndata import AnnData
from IPython.display import HTML, Markdown

from perturbook import data
from perturbook.data.own import Columns
from perturbook.errors import PerturbookError
from perturbook.pages.html_table import code, table
from perturbook.pages.present_card import plain
from perturbook.pages.study import Study

COLUMNS = Columns(
    perturbation="treatment",
    context="cell_line",
    dose="dose_nM",
    dose_unit="nM",
    control="DMSO",
    kind="drug",
)


def recognised(study: Study) -> Markdown:
    """What was recognised in the reader's file, in its own words."""
    return Markdown(f"> {plain(str(study.cells.uns['origin']['recovered']))}")


def refusals(mine: AnnData, folder: Path) -> HTML:
    """Put one error after the other into `mine` and show each message.

    Args:
        mine: the chapter's file, `(cells, genes)`, raw counts.
        folder: where the wrong files are written.

    Raises:
        PerturbookError: a wrong file was accepted.
    """
    rows = []
    for number, (what, wrong, columns) in enumerate(_wrong(mine)):
        path = folder / f"wrong_{number}.h5ad"
        wrong.write_h5ad(path)
        try:
            data.load(path, columns=columns)
        except PerturbookError as refused:
            rows.append({"The file": what, "is told": code(str(refused).replace(f"{folder}/", ""))})
        else:
            raise PerturbookError(f"A wrong file was accepted: {what}.")
    return HTML(table(rows, "Wrong files and their messages"))


def _wrong(mine: AnnData) -> Iterator[tuple[str, AnnData, Columns]]:
    """What is wrong, the file, and what its reader says of the columns."""
    yield "has no column of the name given", mine, Columns(perturbation="drug", kind="drug")
    yield (
        "has another name for the control",
        mine,
        Columns(perturbation="treatment", control="vehicle", kind="drug"),
    )
    one_line = mine[~((mine.obs["cell_line"] == "line-2") & (mine.obs["treatment"] == "DMSO"))].copy()
    yield "has no control cells in one line", one_line, COLUMNS
    scaled = mine.copy()
    scaled.X = np.asarray(scaled.X.todense()) - 1.0
    yield "holds scaled values", scaled, COLUMNS
    negative = mine.copy()
    negative.obs["dose_nM"] = -negative.obs["dose_nM"]
    yield "has negative doses", negative, COLUMNS
    ids = mine.copy()
    ids.var_names = [f"ENSG{i:011d}" for i in range(ids.n_vars)]
    yield "names genes by Ensembl ids", ids, COLUMNS
