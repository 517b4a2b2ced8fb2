"""From a large public file to the canonical schema in blocks of cells, under 16 GB of memory, kept once prepared.

The file is read twice: control cells decide which genes stay (`gene_panel.py`), then every kept cell gives its counts
in these genes. What the preparation needs is said before the first count is read. The result is kept in the cache
under a name made of the files' checksums, the options and the code, so that a second call reads that copy.
Source: `datasets.md` section 4.
"""

import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad
from anndata.io import read_elem

from perturbook.data import gene_panel
from perturbook.data.check_composites import composites_agree
from perturbook.data.dataset import DATASETS
from perturbook.data.findings import three
from perturbook.data.folders import cache_folder
from perturbook.data.origin_columns import pick, resembles
from perturbook.data.own_files import reading
from perturbook.data.schema import CONTROL, assemble, condition_keys
from perturbook.data.stored_counts import StoredCounts, normalise_in_blocks
from perturbook.data.trust import file_sha256, listing, pin
from perturbook.errors import ConfigError, InputError
from perturbook.source import source_hash

SHIFTED = "gene_short_name"
"""Header of the gene table of sci-Plex 3. Read as a gene, it moved every label by one row in scPerturb before its
version 1.4. Source: https://github.com/sanderlab/scPerturb/issues/7."""


@dataclass
class Labelled:
    """What a data set's own file makes of the columns of the origin."""

    obs: pd.DataFrame
    """Index and canonical columns but `n_counts`; a cell without context or perturbation is left out."""
    notes: list[str] = field(default_factory=list)
    """Sentences for `uns["origin"]`."""
    perturbed: set[str] = field(default_factory=set)
    """Symbols of perturbed genes, kept in the panel where measured."""
    perturbations: pd.DataFrame | None = None
    """Table of `uns["perturbations"]`."""


@dataclass(frozen=True)
class Layout:
    """How the public versions of one screen name things."""

    needed: Mapping[str, Sequence[str]]
    """Field -> names a column may have; the first that exists is taken."""
    welcome: Mapping[str, Sequence[str]]
    """The same for fields a version may lack."""
    versions: Mapping[str, tuple[int, int | None]]
    """Name of a known version -> its cells and genes (None: not known)."""
    label: Callable[[pd.DataFrame, pd.Index], Labelled]
    """From the picked columns and the gene symbols to labels."""


def prepare(name: str, paths: Sequence[Path], layout: Layout, **options: int) -> AnnData:
    """Prepare the first of `paths`, or read the copy that an earlier call kept.

    Args:
        name: registry name.
        paths: files of the entry; the first holds the cells.
        layout: names of columns and sizes of versions.
        options: `genes`, the most variable genes to keep beside the perturbed ones (0: all); `cells_per_condition`,
            the treated cells to keep of each condition (0: all), drawn by `seed`; and those of the data set.

    Raises:
        ConfigError: an option is negative.
        InputError: the file cannot be read, lacks a column, holds no counts, or needs more memory than 16 GB.
    """
    if negative := [option for option, value in options.items() if value < 0]:
        raise ConfigError(f"{name}: {', '.join(negative)} must not be negative.")
    files, code = DATASETS[name].files, Path(inspect.getsourcefile(DATASETS[name].prepare))
    key = json.dumps([[file_sha256(path) for path in paths], options, source_hash(code)], sort_keys=True)
    kept = cache_folder() / "prepared" / f"{name}-{sha256(key.encode()).hexdigest()[:16]}.h5ad"
    if not kept.is_file():
        adata = _prepare(
            name, paths, layout, options["genes"], options["cells_per_condition"], options["seed"]
        )
        _write(adata, kept)
        del adata  # before the copy is read
        for file, path in zip(files, paths, strict=True):
            pin(file, path)
    adata = read_h5ad(kept)
    about = adata.uns["origin"]  # lists come back from a file as arrays
    adata.uns["origin"] = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in about.items()}
    return adata


def _write(adata: AnnData, path: Path) -> None:
    """Whole or not at all, also where two processes prepare at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_suffix(f".{os.getpid()}")
    try:
        adata.write_h5ad(making, compression="lzf")
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def _prepare(
    name: str, paths: Sequence[Path], layout: Layout, number: int, per_condition: int, seed: int
) -> AnnData:
    with reading(paths[0]):
        file = h5py.File(paths[0])
        table, genes, counts = read_elem(file["obs"]), read_elem(file["var"]), StoredCounts.of(file, paths[0])
    with file:
        symbols = _symbols(genes, paths[0])
        # Before columns are dropped: a table whose columns were shuffled is refused as such.
        composites_agree(AnnData(obs=table))
        columns, mapped = pick(table, layout.needed, layout.welcome)
        labelled = layout.label(columns, symbols)
        rows = kept_cells(labelled.obs, per_condition, seed)
        most = number + len(labelled.perturbed) if number else len(symbols)
        sys.stderr.write(f"{name}: {counts.need_text(rows, most)}\n")  # as downloads speak
        sums = gene_panel.GeneSums.zero(len(symbols))
        control = rows & (labelled.obs["perturbation"] == CONTROL).to_numpy()
        for _, block in counts.blocks(control) if number else ():
            sums.add(block)
        panel = gene_panel.choose(sums, symbols, number, labelled.perturbed)
        x, depth = counts.part(rows, panel)
    adata = assemble(
        name,
        x,
        labelled.obs[rows].assign(n_counts=depth),
        symbols[panel],
        value_kind="counts",
        recovered="",
        lognorm=normalise_in_blocks(x, depth),
        perturbations=labelled.perturbations,
    )
    sizes = resembles(len(rows), len(symbols), layout.versions)
    panel_text = gene_panel.told(number, symbols, panel, labelled.perturbed)
    left_out = _left_out(labelled.obs, rows)
    about = _about(name, paths, sizes, mapped | {"counts": counts.where}, left_out, panel_text)
    about["recovered"] = " ".join([about["recovered"], *labelled.notes])
    adata.uns["origin"] |= about
    return adata


def _about(
    name: str, paths: Sequence[Path], version: str, mapped: dict[str, str], left_out: str, panel: str
) -> dict:
    """What `uns["origin"]` says beyond the registry: each finding by name, and all as the text that pages print."""
    known = " ".join(listing(file, path) for file, path in zip(DATASETS[name].files, paths, strict=True))
    read_as = "Read as: " + ", ".join(f"{what} = {place}" for what, place in mapped.items()) + "."
    said = ["Counts as the file holds them.", version, known, read_as, left_out, panel]
    return {
        "version": version,
        "listing": known,
        "mapped": mapped,
        "left_out": left_out,
        "panel": panel,
        "recovered": " ".join(said),
        "sha256": [file_sha256(path) for path in paths],
    }


def _symbols(genes: pd.DataFrame, path: Path) -> pd.Index:
    for column in (genes.index.to_series(), *(genes[name] for name in genes)):
        if column.astype(str).str.contains(SHIFTED, regex=False).any():
            raise InputError(
                f"{path}: the gene table holds its own header ({SHIFTED}) as a gene, so that every gene has the name of its "
                "neighbour. scPerturb files before version 1.4 have this fault; take the file of the registry."
            )
    return pd.Index(genes.index.astype(str))


def kept_cells(obs: pd.DataFrame, per_condition: int, seed: int) -> np.ndarray:
    """Which cells stay (cells,): those with labels, of a treated condition at most so many (0: all).

    The draw depends on the names of the cells, not on their order; control cells all stay.

    Raises:
        InputError: no cell is a control.
    """
    rows = obs[["context", "perturbation"]].notna().all(axis=1).to_numpy()
    if not (obs.loc[rows, "perturbation"] == CONTROL).any():
        raise InputError(f"No cell is a control; perturbations are {three(obs['perturbation'].unique())}.")
    if per_condition:
        at = np.flatnonzero(rows & (obs["perturbation"] != CONTROL).to_numpy())
        keys = condition_keys(obs.iloc[at]).astype(str)
        by_name = np.lexsort((obs.index[at].to_numpy(dtype=str), keys))
        drawn = by_name[np.random.default_rng(seed).permutation(len(at))]
        beyond = pd.Series(keys[drawn]).groupby(keys[drawn]).cumcount().to_numpy() >= per_condition
        rows[at[drawn[beyond]]] = False
    return rows


def _left_out(obs: pd.DataFrame, rows: np.ndarray) -> str:
    unlabelled = int(obs[["context", "perturbation"]].isna().any(axis=1).sum())
    drawn = len(obs) - unlabelled - int(rows.sum())
    return (
        f"{rows.sum():,} of {len(obs):,} cells kept; {unlabelled:,} left out by their labels, {drawn:,} by the number of "
        "cells per condition."
    )
