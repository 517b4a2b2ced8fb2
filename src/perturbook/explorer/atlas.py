"""An atlas: everything that the explorer shows of the features of one encoder on one data set, as parquet tables.

Whatever stands in the explorer stands here first, with the same digits. Source: `concepts.md` section 8; tables our choice.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from perturbook.errors import InputError
from perturbook.whole import whole_folder

ABOUT, FORMAT = "about.json", 1
TABLES: dict[str, dict[str, str]] = {
    "cells": {"cell": "str", "x": "float64", "y": "float64", "part": "str"},
    "features": {
        "uid": "str",
        "arm": "str",
        "number": "int64",
        "status": "str",
        "active": "int64",
        "share": "float64",
        "mean_code": "float64",
        "largest_code": "float64",
        "label": "str",
        "value": "str",
        "f1": "float64",
        "stability": "float64",
        "ranked_by": "str",
        "tested": "int64",
        "overtaken": "float64",
        "completeness": "float64",
        "null_cutoff": "float64",
        "terms": "int64",
        "null_share": "float64",
    },
    "codes": {"uid": "str", "cell": "int64", "code": "float64"},
    "groups": {
        "uid": "str",
        "label": "str",
        "value": "str",
        "cells": "int64",
        "active": "int64",
        "share": "float64",
        "lower": "float64",
        "median": "float64",
        "upper": "float64",
    },
    "genes": {
        "uid": "str",
        "gene": "str",
        "attribution": "float64",
        "error": "float64",
        "tested": "int64",
        "same_sign": "float64",
        "changed": "float64",
        "removed": "float64",
        "added": "float64",
        "pre": "float64",
        "de": "float64",
    },
    "cutoffs": {"uid": "str", "cutoff": "float64", "genes": "int64"},
    "terms": {
        "uid": "str",
        "by": "str",
        "library": "str",
        "term": "str",
        "nes": "float64",
        "fdr": "float64",
        "size": "int64",
        "leading": "str",
    },
    "curves": {"uid": "str", "order": "str", "genes": "int64", "left": "float64"},
    "examples": {
        "uid": "str",
        "stratum": "str",
        "cell": "int64",
        "code": "float64",
        "counterfactual": "int64",
        "distance": "float64",
        "differing": "int64",
    },
    "swaps": {
        "uid": "str",
        "cell": "int64",
        "gene": "str",
        "before": "float64",
        "after": "float64",
        "relative": "float64",
    },
    "near": {"uid": "str", "other": "str", "cosine": "float64"},
}
"""Table -> column -> kind. `cells` has further columns of text, one per label, named in `about["labels"]`.

`features`: `uid` such as "sae-12"; `arm` "sae" or "neuron"; `status` in words, "attributed" where genes were; `share` of cells
in which it is active; `label`, `value` and `f1`: what it tells best, chosen on validation cells, F1 on test cells; `stability`:
mean cosine with its match in autoencoders of other seeds; `terms`: sets with an FDR below 0.05 by attribution; `null_share`:
share of matched random rankings with one. `codes`: active entries only. `groups`: codes of active cells by value of a label,
with quartiles. `genes`: the first by attribution and the first by DE. `cutoffs`: tested genes with an attribution above a
cutoff. `curves`: code left after swapping so many genes in an order. `examples`: stratum "top" (prototypes), "middle" or "random";
`counterfactual` is -1 where there is none. `swaps`: of a prototype, the genes whose swap takes most. `near`: by cosine of atoms.
What is undefined is NaN; numbers are rounded here, before they are written.
"""
ARMS = ("sae", "neuron")
STRATA = ("top", "middle", "random")
BY = ("attribution", "de")


@dataclass(frozen=True)
class Atlas:
    """The tables of one encoder on one data set."""

    name: str
    """Of its folder; letters, digits and hyphens."""
    about: Mapping
    """`title`, `backbone`, `data`, `artefact_hash`, `cells`, `genes`, `k`, `labels` (list), `chance` (of stability), `notes`
    (list of sentences that a reader must see), `simulated` (bool), and the manifest under `manifest`."""
    tables: Mapping[str, pd.DataFrame]

    def __post_init__(self):
        for table, columns in TABLES.items():
            found = list(self.tables[table].columns)[: len(columns)] if table in self.tables else []
            if found != list(columns):
                raise InputError(
                    f"Table {table} of atlas {self.name} has columns {', '.join(found) or 'none'}; "
                    f"expected {', '.join(columns)}."
                )


def write(atlas: Atlas, folder: Path) -> Path:
    """Write an atlas as one parquet per table and `about.json`, whole or not at all."""
    with whole_folder(folder) as making:
        for table in TABLES:
            atlas.tables[table].to_parquet(
                making / f"{table}.parquet", index=False, compression="zstd", compression_level=15
            )
        (making / ABOUT).write_text(
            json.dumps({"format": FORMAT, **atlas.about}, indent=1, ensure_ascii=False) + "\n"
        )
    return Path(folder)


def read(folder: Path) -> Atlas:
    """Read an atlas.

    Raises:
        InputError: a file is missing or cannot be read, or a table has other columns.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / ABOUT).read_text())
        tables = {table: pd.read_parquet(folder / f"{table}.parquet") for table in TABLES}
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no whole atlas ({error}); make it again.") from error
    if about.get("format") != FORMAT:
        raise InputError(f"{folder} has format {about.get('format')!r}, expected {FORMAT}; make it again.")
    return Atlas(folder.name, about, tables)


def artefact_hash(weights_sha256: str, cells: list[str], uids: list[str]) -> str:
    """What annotations are bound to: sha256 over the weights, the cells and the features they were made with."""
    return hashlib.sha256("\n".join([weights_sha256, *cells, *uids]).encode()).hexdigest()
