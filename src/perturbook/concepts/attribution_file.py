"""Attributions on disk: one Parquet table per concept, and the key of everything that decided them.

Source: `concepts.md` section 5.3, point 7.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from perturbook.concepts.attribution import ConceptAttribution
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.gradient_screen import Screen
from perturbook.concepts.swap_encoder import SwapEncoder
from perturbook.errors import InputError

KEY, FORMAT = "key.json", 1
TABLES = ("scores", "swaps", "pairs")


def attribution_key(
    encoder: SwapEncoder,
    concepts: str,
    cells: Cells,
    settings: AttributionSettings,
    screen: Screen | None = None,
) -> dict[str, Any]:
    """What decides the numbers, of plain types: encoder, concepts (their identity), cells and genes in order, settings, screen."""
    names = "\n".join([*map(str, cells.obs.index), "", *map(str, cells.genes)])
    return {
        "format": FORMAT,
        "encoder": encoder.identity,
        "concepts": concepts,
        "cells": hashlib.sha256(names.encode()).hexdigest(),
        "settings": settings.as_dict(),
        "screen": None if screen is None else asdict(screen),
    }


def write_attributions(folder: str | Path, found: Mapping[int, ConceptAttribution], key: dict) -> None:
    """Write `scores-J.parquet`, `swaps-J.parquet` and `pairs-J.parquet` of every concept J, numbers as float32, then the key.

    Raises:
        InputError: the folder holds attributions of another key.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / KEY).exists():
        _refuse_other(folder, key)
    for concept, one in found.items():
        for name in TABLES:
            table = getattr(one, name)
            floats = {column: "float32" for column in table.select_dtypes("float64")}
            table.astype(floats).to_parquet(folder / f"{name}-{concept}.parquet")
    (folder / KEY).write_text(json.dumps(key, indent=1) + "\n")


def read_attribution(folder: str | Path, concept: int, name: str, key: dict) -> pd.DataFrame:
    """The table `name` ("scores", "swaps" or "pairs") of a concept.

    Raises:
        InputError: there is none, or it is of another key.
    """
    folder = Path(folder)
    path = folder / f"{name}-{concept}.parquet"
    if not path.is_file() or not (folder / KEY).is_file():
        raise InputError(f"{folder} holds no {name} of concept {concept}; attribute it and write it there.")
    _refuse_other(folder, key)
    return pd.read_parquet(path)


def _refuse_other(folder: Path, key: dict) -> None:
    then = json.loads((folder / KEY).read_text())
    if differ := sorted(name for name in then.keys() | key.keys() if then.get(name) != key.get(name)):
        raise InputError(
            f"{folder} holds attributions of another run: {', '.join(differ)} differ; take a new folder, or delete it."
        )
