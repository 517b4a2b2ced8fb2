"""A data card: what a page tells of one data set, computed from its cells or read from the project's deposit."""

import inspect
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import data
from perturbook.data.check_values import stored
from perturbook.data.own import Columns
from perturbook.data.validate import CHECKS
from perturbook.errors import ConfigError, DataUnavailable, InputError
from perturbook.evaluation.bundle import MANIFEST
from perturbook.evaluation.manifest import manifest, read_manifest, write_manifest
from perturbook.pages import card_tables
from perturbook.pages.cell_map import cell_map
from perturbook.pages.kept import open_deposit
from perturbook.pages.table import ROOT
from perturbook.whole import whole_folder

CARD = "card.json"
TABLES = ("counts", "depth", "change", "settings", "cells")
TEXT = ("context", "group", "state", "setting", "carried", "why")


@dataclass(frozen=True)
class Card:
    """What a data card shows. It holds labels, totals, summaries and a map; the expression of no cell."""

    facts: dict
    """Title, origin, sizes, what X holds, and the checks passed; JSON types only."""
    counts: pd.DataFrame
    """Cells per context and group: `card_tables.counts`."""
    depth: pd.DataFrame
    """Library sizes per context: `card_tables.depth`."""
    change: pd.DataFrame
    """Sizes of changes: `card_tables.change`; empty for unperturbed cells."""
    settings: pd.DataFrame
    """Which settings these cells can carry: `card_tables.settings`."""
    cells: pd.DataFrame
    """Map of a sample of cells: `cell_map.cell_map`."""
    manifest: dict
    """How the card was made."""
    deposited: bool = False
    """True where the data could not be had and the project's deposit is shown."""


def make_card(
    page: str,
    name: str,
    out: Path,
    *,
    seed: int = 0,
    size: str = "",
    shown: int = 2_000,
    columns: Columns | None = None,
) -> Card:
    """Load and check the cells, describe them, store the card and read it back; or open the deposit.

    Args:
        page: page id.
        name: registry name, or path of an .h5ad or .zarr file.
        out: folder of the card; replaced as a whole when everything is done.
        seed: seed of the sample and its map.
        size: size of a simulated screen, "default" or "small"; empty for real cells.
        shown: cells on the map at most.
        columns: what the columns of a reader's own file hold; None where they are canonical.

    Raises:
        ConfigError: unknown data set or option, or a number that cannot be.
        InputError: the cells fail a check.
        DataUnavailable: the data cannot be had and the page has no deposit.
    """
    if seed < 0 or shown < 20:
        raise ConfigError(f"seed={seed} must not be negative and shown={shown} must be at least 20.")
    try:
        cells = _load(name, size, columns)
    except DataUnavailable as absent:
        open_deposit(page, seed, CARD, out, absent)
        return read_card(out, deposited=True)
    facts = _facts(name, cells)
    tables = {
        "counts": card_tables.counts(cells.obs),
        "depth": card_tables.depth(cells.obs),
        "change": card_tables.change(cells),
        "settings": card_tables.settings(cells, seed),
        "cells": cell_map(cells, seed, shown),
    }
    about = manifest(
        ROOT,
        page=page,
        parameters={"data": name, "seed": seed, "size": size, "shown": shown},
        data={name: data.checksum(name) if name in data.DATASETS else facts["files"][0]["sha256"]},
    )
    with whole_folder(out) as making:
        (making / CARD).write_text(json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        for key, table in tables.items():
            table.to_csv(making / f"{key}.csv", index=False)
        write_manifest(about, making / MANIFEST)
    return read_card(out)  # what a page shows comes from what is stored


def _load(name: str, size: str, columns: Columns | None) -> AnnData:
    options = {"size": size} if size else {}
    if name in data.DATASETS:
        entry = data.DATASETS[name]
        if not entry.cells:
            raise ConfigError(f"{name} holds no cells and has no card.")
        if "expectation" in inspect.signature(entry.prepare).parameters:
            options["expectation"] = False  # the slow part of a simulation, and no part of a card
    return data.load(name, columns=columns, **options)


def _files(name: str, sums: list[str]) -> list[dict]:
    """Where the values come from: the public files of a registry entry (none for a simulator), or the reader's own."""
    if name not in data.DATASETS:
        return [{"url": "", "sha256": data.own_sha256(name), "licence": "not stated"}]
    return [
        {"url": file.url, "sha256": sum_, "licence": file.licence}
        for file, sum_ in zip(data.DATASETS[name].files, sums, strict=True)
    ]


def _facts(name: str, cells: AnnData) -> dict:
    entry, obs, origin = data.DATASETS.get(name), cells.obs, cells.uns["origin"]
    treated = obs[~obs["is_control"].to_numpy(bool)]
    return {
        "title": entry.title if entry else f"The reader's own file {Path(name).name}",
        "synthetic": bool(entry and entry.synthetic),
        "files": _files(name, list(origin["sha256"])),
        "recovered": str(origin.get("recovered", "Values as the file holds them.")),
        "value_kind": str(cells.uns["value_kind"]),
        "cells": cells.n_obs,
        "genes": cells.n_vars,
        "filled": round(np.count_nonzero(stored(cells.X)) / (cells.n_obs * cells.n_vars), 4),
        "contexts": obs["context"].nunique(),
        "perturbations": treated["perturbation"].astype(str).nunique(),
        "doses_um": [float(dose) for dose in sorted(treated["dose_um"].dropna().unique())],
        "checks": [check.__doc__.splitlines()[0].strip() for check in CHECKS],
    }


def read_card(folder: Path, deposited: bool = False) -> Card:
    """Read a stored card; raises InputError naming the file that is missing or broken."""
    folder = Path(folder)
    try:
        facts = json.loads((folder / CARD).read_text(encoding="utf-8"))
        tables = {key: _read(folder / f"{key}.csv") for key in TABLES}
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} does not hold a whole data card ({error}).") from error
    return Card(facts, **tables, manifest=read_manifest(folder / MANIFEST), deposited=deposited)


def _read(path: Path) -> pd.DataFrame:
    """Labels as text, whatever they look like (a context may be called 7, NA or None); empty numbers as NaN."""
    columns = pd.read_csv(path, nrows=0).columns
    numbers = {column: [""] for column in columns if column not in TEXT}
    return pd.read_csv(path, dtype={column: str for column in TEXT}, keep_default_na=False, na_values=numbers)
