"""Make the atlases of the concept explorer; `perturbook train explorer` does. Settings were fixed before an atlas was looked at."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from anndata import AnnData

from perturbook import data
from perturbook.concepts.encoder_of import BACKBONES, embeddings, encoder_of
from perturbook.concepts.gene_sets import Library
from perturbook.data.schema import expression
from perturbook.errors import ConfigError
from perturbook.evaluation.manifest import manifest
from perturbook.explorer.atlas import Atlas, write
from perturbook.explorer.make_atlas import make_atlas
from perturbook.explorer.recipe import LIBRARIES, RECIPES
from perturbook.explorer.subject import Subject, divided
from perturbook.pages.explorer_atlases import ATLASES, FOLDER, PAGE
from perturbook.pages.table import ROOT

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
