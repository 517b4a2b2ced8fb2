"""Tables of scores that took longer to make than a page may take: a .csv or .csv.gz below `results/` and a record beside it.

`perturbook train PAGE` writes them; a page reads them, and refuses what was made of other data.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from perturbook import data
from perturbook.errors import InputError
from perturbook.evaluation.manifest import manifest, read_manifest, write_manifest
from perturbook.pages.table import ROOT


def write(
    rows: pd.DataFrame, path: Path, page: str, of: str | Sequence[str], parameters: Mapping[str, Any]
) -> None:
    """Write rows with six decimals, and a record of the page, the data set or sets and the parameters."""
    rows.round(6).to_csv(path, index=False, compression={"method": "infer", "mtime": 0})  # no time stamp
    about = manifest(ROOT, page=page, parameters=dict(parameters), data=_checksums(of))
    write_manifest(json.loads(json.dumps(about)), record_of(path))


def read(path: Path, columns: Sequence[str], page: str, of: str | Sequence[str]) -> pd.DataFrame:
    """Read rows back.

    Raises:
        InputError: the file is missing, holds other columns, or was made from other data than the data set now holds.
    """
    again = f"make it with `perturbook train {page}`."
    if not path.is_file():
        raise InputError(f"{path} is missing; {again}")
    rows = pd.read_csv(path)
    if list(rows.columns) != list(columns):
        raise InputError(
            f"{path} has columns {', '.join(rows.columns)}; expected {', '.join(columns)}; {again}"
        )
    if read_manifest(record_of(path))["data"] != _checksums(of):
        names = of if isinstance(of, str) else " and ".join(of)
        raise InputError(f"{path} was made from other data than {names} now holds; {again}")
    return rows


def record_of(path: Path) -> Path:
    """The record beside a table: x.json beside x.csv and x.csv.gz."""
    return path.with_name(path.name.removesuffix(".gz")).with_suffix(".json")


def _checksums(of: str | Sequence[str]) -> dict[str, str]:
    return {name: data.checksum(name) for name in ([of] if isinstance(of, str) else of)}
