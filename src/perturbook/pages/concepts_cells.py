"""The cells of the pages on concepts: embeddings by the small checkpoint, labels, and three parts. Kept in `results/`.

Embedding them takes minutes, so that `perturbook train concepts` does it once, and every page on concepts reads the same
numbers. They are kept as whole numbers of 1/32767, because every coordinate of a vector of length 1 lies between -1 and 1.
Source: `concepts.md` section 7 for the parts; the rest is our choice.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook import data
from perturbook.concepts.parts import parts
from perturbook.data.cell_cycle import phase
from perturbook.errors import ConfigError, InputError
from perturbook.evaluation.manifest import manifest, read_manifest, write_manifest
from perturbook.pages.table import ROOT

PAGE, BACKBONE = "concepts", "small"
FOLDER = ROOT / "results"
DATA = ("kang2018-mini", "pbmc3k")
STEPS = 2**15 - 1
LABELS = ("cell type", "condition", "phase")
SAME_TYPES = {
    "CD14+ Mono": "CD14+Mono",
    "FCGR3A+ Mono": "FCGR3A+Mono",
    "CD8 T": "CD8T",
    "Naive CD4 T": "CD4T",
    "Memory CD4 T": "CD4T",
    "DC": "Dendritic",
}
"""Types of pbmc3k -> the names of kang2018-mini, where they differ."""


@dataclass(frozen=True)
class Embedded:
    """Cells of one data set as the encoder sees them."""

    name: str
    points: np.ndarray
    """`(cells, d)` float32, of length 1."""
    labels: dict[str, np.ndarray]
    """Name of a label -> its value per cell `(cells,)`."""
    seed: int = 0
    """Of the parts."""

    @cached_property
    def part(self) -> np.ndarray:
        """train, valid or test of each cell `(cells,)`: drawn within cell type and condition."""
        groups = np.char.add(np.char.add(self.labels["cell type"], "\n"), self.labels["condition"])
        return parts(groups, self.seed)

    def of(self, part: str) -> np.ndarray:
        """True for the cells of a part `(cells,)`."""
        return self.part == part

    @property
    def told(self) -> list[str]:
        """Labels with more than one value; a batch is known of neither data set."""
        return [name for name in LABELS if len(set(self.labels[name])) > 1]

    def few(self, most: int) -> "Embedded":
        """Every n-th cell, so that about `most` are left; all where `most` is 0 or larger than there are."""
        step = -(-len(self.points) // most) if most else 1
        return Embedded(
            self.name, self.points[::step], {k: v[::step] for k, v in self.labels.items()}, self.seed
        )


def make(names: Sequence[str] = (), folder: Path = FOLDER) -> Iterator[str]:
    """Embed the cells of the data sets, or of those named, keep them, and say so line by line.

    Raises:
        ConfigError: a name is not one of `DATA`. DataUnavailable: the cells cannot be had.
    """
    from perturbook.models.backbones.choose import choose  # torch loads where a model runs
    from perturbook.models.backbones.embed import embed

    if unknown := sorted(set(names) - set(DATA)):
        raise ConfigError(f"Unknown data set {unknown[0]!r}. Known: {', '.join(DATA)}.")
    for name in names or DATA:
        cells, encoder = data.load(name), choose(BACKBONE, None, 0, {})
        embed(cells, encoder, key="z", resume=ROOT / "runs" / "concepts" / name)
        points = np.round(cells.obsm["z"] * STEPS).astype(np.int16)
        labels = {
            "cell type": cells.obs["context"].to_numpy(str),
            "condition": cells.obs["perturbation"].to_numpy(str),
            "phase": phase(cells),
        }
        _write(points, labels, _path(name, folder))
        names_sha = hashlib.sha256("\n".join(cells.obs_names).encode()).hexdigest()
        about = manifest(
            ROOT,
            page=PAGE,
            parameters={"backbone": BACKBONE, "identity": encoder.identity, "cells_sha256": names_sha},
            data={name: data.checksum(name)},
        )
        write_manifest(json.loads(json.dumps(about)), _path(name, folder).with_suffix(".json"))
        yield f"{name}: {cells.uns['z']['said']}"


def stored(name: str, folder: Path = FOLDER) -> Embedded:
    """Embeddings of a data set as they were kept.

    Raises:
        InputError: they are missing, cannot be read, or were made from other data than the data set now holds.
    """
    path, again = _path(name, folder), f"make it with `perturbook train {PAGE}`."
    if not path.is_file():
        raise InputError(f"{path} is missing; {again}")
    if read_manifest(path.with_suffix(".json"))["data"] != {name: data.checksum(name)}:
        raise InputError(f"{path} was made from other data than {name} now holds; {again}")
    try:
        table = pd.read_parquet(path)
        labels = {label: table.pop(label).to_numpy(str) for label in LABELS}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read ({error}); {again}") from error
    return Embedded(name, (table.to_numpy() / STEPS).astype(np.float32), labels)


def _write(points: np.ndarray, labels: dict[str, np.ndarray], path: Path) -> None:
    table = pd.DataFrame(points, columns=[str(i) for i in range(points.shape[1])])
    table.assign(**labels).to_parquet(path, index=False, compression="zstd", use_dictionary=list(labels))


def _path(name: str, folder: Path) -> Path:
    return folder / f"concepts-{name}.parquet"
