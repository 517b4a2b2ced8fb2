"""Norman et al. 2019: K562 cells, CRISPR activation of 105 genes alone and in 131 pairs; fetched only when asked for.

Sizes differ between public versions; which one was found is said. Source: `datasets.md` section 4, `perturbedvae.md`
section 9 (versions); column names are those of scPerturb, CPA and GEARS.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data import full_size
from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.findings import three
from perturbook.data.gene_labels import genes_of, normalise
from perturbook.data.schema import CONTROL
from perturbook.errors import InputError

NAME = "norman2019"

FILE = PublicFile(
    name="NormanWeissman2019_filtered.h5ad",
    url="https://zenodo.org/records/13350497/files/NormanWeissman2019_filtered.h5ad",
    size=698_680_199,
    listed="md5:c870e6967d91c017d9da827bab183cd6",
    listed_by="third parties that hold copies of Zenodo record 13350497",
    licence="CC-BY-4.0 (Zenodo, scPerturb); the counts of GSE133344 carry no explicit licence",
)

NEEDED = {"perturbation": ("perturbation", "guide_ids", "condition", "perturbation_name", "guide_merged")}
WELCOME = {
    "replicate": ("gemgroup", "gem_group", "batch"),
    "genes perturbed": ("nperts",),
}
VERSIONS = {
    "scPerturb's filtered file": (111_445, 33_694),
    "the CPA tutorial's file": (111_122, 5_044),
    "the data of the PerturbedVAE paper": (105_528, None),
}


@dataset(
    NAME,
    title="Norman 2019: K562, CRISPR activation of single genes and pairs (full size, about 111,000 cells)",
    files=(FILE,),
    cite="norman2019",
    full_size=True,
)
def prepare(path: Path, genes: int = 5_000, cells_per_condition: int = 0, seed: int = 0) -> AnnData:
    """Put the file into the canonical schema; options and errors as in `full_size.prepare`."""
    layout = full_size.Layout(NEEDED, WELCOME, VERSIONS, label)
    return full_size.prepare(
        NAME, [path], layout, genes=genes, cells_per_condition=cells_per_condition, seed=seed
    )


def label(columns: pd.DataFrame, symbols: pd.Index) -> full_size.Labelled:
    """Labels of any convention in circulation as sorted symbols joined by `+`; one context, K562.

    Raises:
        InputError: a label names another number of genes than the file counts.
    """
    perturbation = _canonical(columns, symbols)
    obs = pd.DataFrame(
        {
            "context": "K562",  # the only line of this screen; a copy in wide use calls it A549
            "perturbation": perturbation,
            "kind": "CRISPRa",
            "dose_um": np.where(perturbation == CONTROL, 0.0, np.nan),
        },
        index=columns.index,
    )
    if "replicate" in columns:
        obs["replicate"] = columns["replicate"].astype(str)
    perturbed = {one for name in perturbation.dropna().unique() for one in genes_of(name)}
    return full_size.Labelled(obs, perturbed=perturbed)


def _canonical(columns: pd.DataFrame, symbols: pd.Index) -> pd.Series:
    given = columns["perturbation"].dropna().astype(object)
    counted = columns.get("genes perturbed", pd.Series(np.nan, columns.index)).loc[given.index].astype(float)
    # A gene that is never alone and not among the measured ones is known by its pairs, which the file counts as two.
    parts = [re.split("[_,]", pair) for pair in given[counted == 2].unique()]
    pairs = {one for pair in parts if len(pair) == 2 for one in pair}
    alone = {one for one in given.unique() if one and not set(one) & set("_,+")}
    labels = pd.Series(normalise(given, set(symbols) | alone | pairs), given.index)
    other = counted.notna() & (labels != CONTROL) & (labels.map(lambda one: len(genes_of(one))) != counted)
    if other.any():
        raise InputError(
            f"{NAME}: {other.sum():,} cells name another number of genes than their file counts: "
            f"{three(labels[other].unique())}."
        )
    return labels.reindex(columns.index)
