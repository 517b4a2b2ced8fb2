"""The atlases of the concept explorer, `results/explorer/<name>/`; `perturbook train explorer` makes them.

Two backbones and three data sets, less scVI on the 700 cells that come without counts. Settings were fixed before an atlas was
looked at.
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from anndata import AnnData

from perturbook import data
from perturbook.concepts.encoder_of import BACKBONES, embeddings, encoder_of
from perturbook.concepts.gene_sets import Library
from perturbook.data.schema import expression
from perturbook.errors import ConfigError, InputError
from perturbook.evaluation.manifest import manifest
from perturbook.explorer.atlas import Atlas, read, write
from perturbook.explorer.make_atlas import make_atlas
from perturbook.explorer.recipe import RECIPES
from perturbook.explorer.subject import Subject, divided
from perturbook.pages.table import ROOT

PAGE = "explorer"
FOLDER = ROOT / "results" / "explorer"
ATLASES = {
    "kang-small": ("kang2018-mini", "small"),
    "kang-scvi": ("kang2018-mini", "scvi"),
    "pbmc3k-small": ("pbmc3k", "small"),
    "pbmc3k-scvi": ("pbmc3k", "scvi"),
    "pbmc68k-small": ("pbmc68k-reduced", "small"),
}
"""Name -> data set and backbone."""
LIBRARIES = ("geneset-hallmark", "geneset-celltypes")
LABELS = {"cell_type": "cell type", "perturbation": "condition"}
"""Columns of a data set -> what a reader sees; one with a single value is no label."""


def make(names: Sequence[str] = (), folder: Path = FOLDER) -> Iterator[str]:
    """Make the atlases, or those named, and say so line by line.

    Raises:
        ConfigError: there is no such atlas. DataUnavailable: cells or gene sets cannot be had.
    """
    if unknown := sorted(set(names) - set(ATLASES)):
        raise ConfigError(f"Unknown atlas {unknown[0]!r}. Known: {', '.join(ATLASES)}.")
    for name in names or ATLASES:
        started = time.monotonic()
        made = _made(name)
        write(made, folder / name)
        yield f"{name}: {len(made.tables['features'])} features, {time.monotonic() - started:.0f} s"


def _made(name: str) -> Atlas:
    dataset, backbone = ATLASES[name]
    cells = data.load(dataset)
    labels = _labelled(cells)
    encoder = encoder_of(backbone, cells, divided(cells, labels, 0) == "train")
    subject = Subject(cells, expression(cells), labels, embeddings(encoder, cells), encoder)
    recipe = RECIPES[backbone]
    sums = {one: data.checksum(one) for one in (dataset, *LIBRARIES)}
    record = manifest(
        ROOT, page=PAGE, parameters={"atlas": name, "recipe": recipe.as_dict(), "seed": 0}, data=sums
    )
    about = {
        "title": f"{BACKBONES[backbone]}, {dataset}",
        "backbone": backbone,
        "data": dataset,
        "simulated": False,
        "notes": recipe.notes(subject),
        "manifest": json.loads(json.dumps(record)),
    }
    return make_atlas(name, about, subject, recipe, [Library.load(one) for one in LIBRARIES])


def _labelled(cells: AnnData) -> list[str]:
    """Put the labels that have more than one value under the names a reader sees; those names."""
    kept = []
    for column, shown in LABELS.items():
        if cells.obs[column].nunique() > 1:
            cells.obs[shown] = cells.obs[column].astype(str)
            kept.append(shown)
    return kept


def stored(folder: Path = FOLDER) -> list[Atlas]:
    """The deposited atlases, in their order.

    Raises:
        InputError: one is missing or damaged, or was made from other data than the data set now holds.
    """
    found = [read(folder / name) for name in ATLASES]
    for atlas in found:
        dataset = ATLASES[atlas.name][0]
        if atlas.about["manifest"]["data"][dataset] != data.checksum(dataset):
            raise InputError(
                f"{folder / atlas.name} was made from other data than {dataset} now holds; make it with "
                f"`perturbook train {PAGE} {atlas.name}`."
            )
    return found
