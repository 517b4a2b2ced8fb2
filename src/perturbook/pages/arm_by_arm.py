"""Deposits of the pages on concepts that are made one dictionary after the other, so that a run can be stopped and one be redone."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from perturbook.errors import ConfigError
from perturbook.pages.concepts_arms import ARMS, SAE


def chosen(names: Sequence[str]) -> list[str]:
    """The dictionaries named, or all of them; raises ConfigError for an unknown one."""
    known = [SAE, *ARMS]
    if unknown := sorted(set(names) - set(known)):
        raise ConfigError(f"Unknown dictionary {unknown[0]!r}. Known: {', '.join(known)}.")
    return [name for name in known if name in (names or known)]


def begin(path: Path, columns: list[str], name: str, rows: list) -> pd.DataFrame:
    """Rows of the deposit at `path`, those of `name` replaced by `rows`."""
    kept = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=columns)
    return put(kept, pd.DataFrame(rows, columns=columns), name)


def put(kept: pd.DataFrame, made: pd.DataFrame, name: str) -> pd.DataFrame:
    """`kept` with the rows whose arm is `name` replaced."""
    others = kept[kept["arm"] != name]
    parts = [part for part in (others, made) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else kept
