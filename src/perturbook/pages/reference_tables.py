"""Drug table, gene sets and vocabulary: what the tables behind the book hold, in numbers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML

from perturbook import data
from perturbook.errors import DataUnavailable
from perturbook.evaluation.bundle import MANIFEST
from perturbook.evaluation.manifest import manifest, read_manifest, write_manifest
from perturbook.pages import frame
from perturbook.pages.html_table import table
from perturbook.pages.kept import open_deposit
from perturbook.pages.table import ROOT
from perturbook.whole import whole_folder

DRUGS, VOCABULARY = "sciplex3-drugs", "scgpt-vocab"
GENE_SETS = ("geneset-go-bp", "geneset-hallmark", "geneset-celltypes")
USABLE = (15, 500)
"""Genes of a set that enrichment can use, the usual bounds."""


@dataclass(frozen=True)
class Tables:
    """What the page shows; counts and shares, no row of an origin file."""

    drugs: pd.DataFrame
    """One row: drugs, parents, structures, fragments, pathways."""
    sets: pd.DataFrame
    """One row per collection: sets, symbols, smallest, median, largest, usable."""
    vocabulary: pd.DataFrame
    """One row per data set: genes, known."""
    manifest: dict
    """Manifest of the run."""
    deposited: bool = False
    """True where a file could not be had and the deposit is shown."""


def make(page: str, out: Path) -> Tables:
    """Describe the tables, store what the page shows and read it back; or open the deposit.

    Raises:
        DataUnavailable: a file cannot be had and the page has no deposit.
    """
    names = [DRUGS, *GENE_SETS, VOCABULARY]
    try:
        loaded = {name: data.load(name) for name in names}
    except DataUnavailable as absent:
        open_deposit(page, 0, MANIFEST, out, absent)
        return _read(out, deposited=True)
    made = {
        "drugs": drugs(loaded[DRUGS]),
        "sets": pd.DataFrame([gene_sets(name, loaded[name]) for name in GENE_SETS]),
        "vocabulary": vocabulary(set(loaded[VOCABULARY])),
    }
    about = manifest(ROOT, page=page, parameters={}, data={name: data.checksum(name) for name in names})
    with whole_folder(out) as making:
        for name, frame_ in made.items():
            frame_.to_csv(making / f"{name}.csv", index=False)
        write_manifest(about, making / MANIFEST)
    return _read(out)


def _read(folder: Path, deposited: bool = False) -> Tables:
    names = ("drugs", "sets", "vocabulary")
    return Tables(
        *(pd.read_csv(folder / f"{name}.csv") for name in names), read_manifest(folder / MANIFEST), deposited
    )


def drugs(found: pd.DataFrame) -> pd.DataFrame:
    """Count names, parent structures and first InChIKey blocks of a drug table without its control."""
    treated = found.drop(index="control", errors="ignore")
    return pd.DataFrame(
        {
            "drugs": [len(treated)],
            "parents": [treated["parent_smiles"].nunique()],
            "structures": [treated["inchikey14"].nunique()],
            "fragments": [int(treated["smiles"].str.contains(".", regex=False).sum())],
            "pathways": [treated["pathway"].nunique()],
        }
    )


def gene_sets(name: str, sets: dict[str, list[str]]) -> dict:
    """Count the sets of a collection and their symbols."""
    sizes = np.array([len(set(genes)) for genes in sets.values()])
    return {
        "collection": data.DATASETS[name].title,
        "sets": len(sets),
        "symbols": len({gene for genes in sets.values() for gene in genes}),
        "smallest": sizes.min(),
        "median": int(np.median(sizes)),
        "largest": sizes.max(),
        "usable": int(((sizes >= USABLE[0]) & (sizes <= USABLE[1])).sum()),
    }


def vocabulary(known: set[str]) -> pd.DataFrame:
    """Share of each small data set's genes that a vocabulary knows; data sets that cannot be had are left out."""
    rows = []
    for name, entry in sorted(data.DATASETS.items()):
        if not entry.cells or entry.synthetic or entry.full_size or not data.available(name):
            continue
        genes = data.load(name).var_names
        rows.append({"data": name, "genes": len(genes), "known": int(genes.isin(known).sum())})
    return pd.DataFrame(rows)


def banner(tables: Tables) -> HTML:
    """A notice where the deposit is shown."""
    return frame.notices(False, "Counts are those of the deposit." if tables.deposited else "")


def drug_table(tables: Tables) -> HTML:
    """Names against structures."""
    row = tables.drugs.iloc[0]
    return HTML(
        table(
            [
                {
                    "Names besides control": row["drugs"],
                    "Parent structures": row["parents"],
                    "First InChIKey blocks": row["structures"],
                    "With several fragments": row["fragments"],
                    "Pathways": row["pathways"],
                }
            ],
            "The drugs of sci-Plex 3",
        )
    )


def set_table(tables: Tables) -> HTML:
    """Collections of gene sets."""
    names = {
        "collection": "Collection",
        "sets": "Sets",
        "symbols": "Symbols",
        "smallest": "Smallest set",
        "median": "Median",
        "largest": "Largest",
        "usable": f"Sets of {USABLE[0]} to {USABLE[1]} genes",
    }
    return HTML(table(tables.sets.rename(columns=names).to_dict("records"), "Collections of gene sets"))


def vocabulary_table(tables: Tables) -> HTML:
    """Genes that the vocabulary knows, per data set."""
    rows = [
        {
            "Data set": row["data"],
            "Genes": row["genes"],
            "In the vocabulary": row["known"],
            "Share": f"{row['known'] / row['genes']:.1%}",
        }
        for _, row in tables.vocabulary.iterrows()
    ]
    return HTML(table(rows, "Genes that the vocabulary of scGPT knows"))


def provenance(tables: Tables) -> HTML:
    """What the page was made of."""
    return frame.footer(tables.manifest)
