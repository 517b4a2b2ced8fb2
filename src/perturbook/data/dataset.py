"""What a data set is to this book: a name, its public files, and one preparation into the canonical schema."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anndata import AnnData

from perturbook.errors import ConfigError
from perturbook.registry import Registry

PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class PublicFile:
    """One file at a public address, known by its checksum, or, where none is known, by its name (`trust.py`)."""

    name: str
    """File name in the cache; a plain name, so that it cannot lead out of the cache folder."""
    url: str
    """Public address of exactly these bytes, or `wheel:<package>/<path>` for a file inside an installed wheel."""
    sha256: str = ""
    """Checksum; a file is this file if and only if its bytes have it. Empty where we have opened no copy."""
    size: int = 0
    """Bytes, printed before a download; 0 where not known."""
    licence: str
    """Licence of the repository that hosts the file; it need not cover the data."""
    listed: str = ""
    """Checksum that a third party lists, such as "md5:c870...": other bytes are used, with a warning."""
    listed_by: str = ""
    """Who lists it."""
    folder: str = ""
    """Folder, within the cache and the offline folder, of a file that only a person can fetch; empty for others."""

    def __post_init__(self):
        for name in (self.name, self.folder or "none"):
            if not PLAIN.fullmatch(name):
                raise ConfigError(
                    f"File name {name!r} is not a plain name of letters, digits, '.', '_' and '-'."
                )

    @property
    def size_text(self) -> str:
        """`698,680,199 bytes`, or that the size is not known."""
        return f"{self.size:,} bytes" if self.size else "size not known"


@dataclass(frozen=True)
class Dataset:
    """One row of the data registry."""

    name: str
    """Stable name, as in `perturbook.data.load(name)`."""
    title: str
    """One line: what was measured, in which cells."""
    prepare: Callable[..., Any]
    """Pure function from the paths of `files` (and its own options) to the prepared object."""
    files: tuple[PublicFile, ...] = ()
    """Public files, found by checksum; empty for simulators."""
    cite: str = ""
    """Key of the original paper in `book/references.bib`."""
    synthetic: bool = False
    """True for simulated cells, which every page must call simulated."""
    full_size: bool = False
    """True for large files: downloaded by `perturbook data fetch NAME` only, never because a page or a test asks."""
    cells: bool = True
    """True where `prepare` gives an AnnData in the canonical schema; gene sets and tables are False."""


DATASETS: Registry = Registry("data set")


def dataset(
    name: str, title: str, **fields: Any
) -> Callable[[Callable[..., AnnData]], Callable[..., AnnData]]:
    """Decorator: enter the preparation below it into `DATASETS` as `name`; `fields` are those of `Dataset`."""

    def enter(prepare: Callable[..., AnnData]) -> Callable[..., AnnData]:
        DATASETS.add(name, Dataset(name=name, title=title, prepare=prepare, **fields))
        return prepare

    return enter
