"""A reader's own .h5ad file, embedded without loading it: a copy of the file with `obsm` and a report beside what it had."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset, write_elem

from perturbook.data.own_files import reading
from perturbook.data.own_values import gene_symbols
from perturbook.errors import ConfigError, InputError
from perturbook.models.backbones.embed import embed

SYMBOLS = "perturbook_symbols"
"""Column of the opened table that holds the symbols; never written."""


def embed_file(
    path: str | Path,
    out: str | Path,
    backbone: Any,
    *,
    layer: str | None = None,
    symbols: str | None = None,
    overwrite: bool = False,
    **options: Any,
) -> str:
    """Embed the cells of an .h5ad file and write a copy of it with the result; returns the report in one line.

    The values are read in blocks, as `embed` says. Finished blocks are kept in a folder `<out>.parts` until the copy is
    complete: after a run that was killed, the same call goes on to the same numbers.

    Args:
        path: the reader's file, left as it is.
        out: where the copy goes; there is nothing, or it is overwritten knowingly.
        backbone: see `embed`.
        layer: which layer to read; `X` where None.
        symbols: column of var with the gene symbols. Where None, Ensembl ids are replaced by a symbol column of a usual
            name if there is one, and the report says so.
        overwrite: replace `out`, and what the file has in `obsm` under the same key.
        options: of `embed`.

    Raises:
        InputError: the file is no whole .h5ad, or fails a check of `embed`; `out` cannot be written.
        ConfigError: `out` is `path`, is there already, or is no .h5ad; or see `embed`.
    """
    path, out = Path(path), Path(out)
    _refuse_places(path, out, overwrite)
    parts, said = out.with_name(f"{out.name}.parts"), ""
    with _opened(path) as cells:
        if symbols is None:
            names, ids, said = gene_symbols(cells)
            if ids is not None:
                cells.var[SYMBOLS], symbols = names.to_numpy(), SYMBOLS
        try:
            embed(cells, backbone, layer=layer, symbols=symbols, overwrite=overwrite, resume=parts, **options)
        except OSError as error:
            raise InputError(
                f"Values of {path} cannot be read, or blocks not kept in {parts}: {error}."
            ) from error
    key = next(name for name, values in cells.obsm.items() if values.shape[1])
    cells.uns[key]["said"] += said
    with _copy(path, out) as file:
        for group, value in (("obsm", cells.obsm[key]), ("uns", cells.uns[key])):
            if group not in file:
                write_elem(file, group, {})
            write_elem(file, f"{group}/{key}", value)
    shutil.rmtree(parts)
    return cells.uns[key]["said"]


def _refuse_places(path: Path, out: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise ConfigError(
            f"{path} is a folder; write its cells to an .h5ad file first: anndata.read_zarr(...).write_h5ad(...)."
        )
    if out.suffix != ".h5ad":
        raise ConfigError(f"The result is an .h5ad file, and {out} is not named as one.")
    if out.resolve() == path.resolve() or (out.exists() and path.exists() and out.samefile(path)):
        raise ConfigError(f"{out} is the file that is read; it is never written to, so give another name.")
    if out.exists() and not overwrite:
        raise ConfigError(
            f"{out} is there already; give another name, or overwrite it knowingly (overwrite=True, --overwrite)."
        )
    if not out.parent.is_dir():
        raise ConfigError(f"There is no folder {out.parent} to write {out.name} into.")


@contextmanager
def _opened(path: Path) -> Iterator[AnnData]:
    """Names in memory, values on disk; `obsm` holds the names that are taken, each without any column."""
    with reading(path):
        file = h5py.File(path)
    with file:
        with reading(path):
            obs, var = read_elem(file["obs"]), read_elem(file["var"])
            kind = {"value_kind": read_elem(file["uns/value_kind"])} if "uns/value_kind" in file else {}
            cells = AnnData(
                X=_on_disk(file["X"]) if "X" in file else None,
                obs=obs,
                var=var,
                uns=kind,
                obsm={name: np.empty((len(obs), 0), np.float32) for name in file.get("obsm", ())},
                layers={name: _on_disk(values) for name, values in file.get("layers", {}).items()},
            )
        yield cells


def _on_disk(element: h5py.Group | h5py.Dataset) -> Any:
    return sparse_dataset(element) if isinstance(element, h5py.Group) else element


@contextmanager
def _copy(path: Path, out: Path) -> Iterator[h5py.File]:
    """A copy of `path` open for writing, at `out` once it is complete; nothing is left of one that is not."""
    making = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(path, making)
        with h5py.File(making, "r+") as file:
            yield file
        making.replace(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}.") from error
    finally:
        making.unlink(missing_ok=True)
