"""Kang et al. 2018: PBMC of eight lupus patients, at rest and stimulated with interferon beta; fetched when asked for.

Unlike the small extract this file names the donor of a cell, so that whole donors can be held out: load it with
`Columns(context="donor")`. Source: `datasets.md` section 4; column names are those of pertpy.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data import full_size
from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.findings import three
from perturbook.data.schema import CONTROL
from perturbook.errors import InputError

NAME = "kang2018"

FILE = PublicFile(
    name="kang_counts_25k.h5ad",
    url="https://figshare.com/ndownloader/files/34464122",
    licence="not stated (figshare, for pertpy); the counts of GSE96583 carry no explicit licence",
)

NEEDED = {
    "perturbation": ("label", "condition", "stim"),
    "context": ("cell_type", "celltype", "cell"),
    "donor": ("replicate", "patient", "donor", "ind"),
}
VERSIONS = {"the file of pertpy": (24_673, 15_706)}
NAMES = {
    **dict.fromkeys(("ctrl", "control", "CTRL"), CONTROL),
    **dict.fromkeys(("stim", "stimulated", "STIM", "IFN-beta"), "IFN-beta"),
}


@dataset(
    NAME,
    title="Kang 2018: human PBMC of eight donors, control and IFN-beta (full size, about 24,700 cells)",
    files=(FILE,),
    cite="kang2018",
    full_size=True,
)
def prepare(path: Path, genes: int = 5_000, cells_per_condition: int = 0, seed: int = 0) -> AnnData:
    """Put the file into the canonical schema; options and errors as in `full_size.prepare`."""
    layout = full_size.Layout(NEEDED, {}, VERSIONS, label)
    return full_size.prepare(
        NAME, [path], layout, genes=genes, cells_per_condition=cells_per_condition, seed=seed
    )


def label(columns: pd.DataFrame, symbols: pd.Index) -> full_size.Labelled:
    """Cell type as context, donor kept; raises InputError for a label that is neither control nor stimulated."""
    given = columns["perturbation"].astype(object)
    unknown = sorted(set(given.dropna()) - set(NAMES))
    if unknown:
        raise InputError(f"{NAME}: unknown perturbation {three(unknown)}; known are {', '.join(NAMES)}.")
    perturbation = given.map(NAMES)
    obs = pd.DataFrame(
        {
            "context": columns["context"].astype(object),
            "perturbation": perturbation,
            "kind": "cytokine",
            "dose_um": np.where(perturbation == CONTROL, 0.0, np.nan),
            "donor": columns["donor"].astype(str),
            "cell_type": columns["context"].astype(str),
        },
        index=columns.index,
    )
    donors = f"{obs['donor'].nunique():,} donors, so that splits by donor are possible."
    return full_size.Labelled(obs, notes=[donors])
