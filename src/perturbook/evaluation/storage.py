"""Arrays in and out of the .h5ad files of a bundle: as small as they can be without loss, the same bytes each time."""

from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd

from perturbook.errors import InputError
from perturbook.evaluation.packing import packed, unpacked
from perturbook.evaluation.truth import Truth

PACKED = "packed"
"""Entry of `uns` that says how the arrays kept as integers are turned into numbers; see `packing`."""
CHUNK = 2**30
"""Bytes up to which an array is compressed as one piece."""


def frame(truth: Truth) -> ad.AnnData:
    """An AnnData of conditions x genes with the labels of the truth and no values."""
    return ad.AnnData(obs=truth.obs.copy(), var=pd.DataFrame(index=truth.genes.astype(str)))


def put(adata: ad.AnnData, where: str, arrays: dict[str, np.ndarray | None], *, rows: bool = False) -> None:
    """Keep arrays in `adata.<where>`, or in `uns[<where>]`, packed where that is without loss; None is left out.

    Args:
        adata: filled in place.
        where: layers, obsm, varm, var, or any entry of `uns`.
        arrays: by name.
        rows: each entry of the first axis has a step of its own, see `packing.packed`.
    """
    place = getattr(adata, where) if where in _PLACES else adata.uns.setdefault(where, {})
    for name, values in arrays.items():
        if values is None:
            continue
        small = packed(values, rows=rows) if values.dtype.kind == "f" else None
        place[name] = values if small is None else small[0]
        if small is not None:
            adata.uns.setdefault(PACKED, {})[f"{where}.{name}"] = small[1]


def get(adata: ad.AnnData, where: str, name: str) -> np.ndarray:
    """What `put` was given, or numbers that somebody wrote in its place; raises KeyError naming an array that is not there."""
    values = (getattr(adata, where) if where in _PLACES else adata.uns[where])[name]
    how = adata.uns.get(PACKED, {}).get(f"{where}.{name}")
    values = values.to_numpy() if isinstance(values, pd.Series) else values
    return values if how is None or values.dtype.kind != "u" else unpacked(values, how)


def write(path: Path, adata: ad.AnnData) -> None:
    """Write without time stamps; arrays and long lists of names compressed as one piece, bytes shuffled."""

    def compressed(func, store, key, elem, *, dataset_kwargs, **_):
        if isinstance(elem, np.ndarray) and elem.dtype.kind in "OU" and elem.ndim == 1 and elem.size:
            _write_names(store, key, elem)
            return
        big = isinstance(elem, np.ndarray) and elem.dtype.kind in "fiu" and elem.size > 64
        more = {"compression": "gzip", "compression_opts": 9, "shuffle": True} if big else {}
        if big and elem.nbytes < CHUNK:
            more["chunks"] = elem.shape
        func(store, key, elem, dataset_kwargs={**dataset_kwargs, **more})

    with h5py.File(path, "w", track_order=False, libver="latest") as file:
        ad.experimental.write_dispatched(file, "/", adata, compressed)


def _write_names(store: h5py.Group, key: str, names: np.ndarray) -> None:
    """Write texts as bytes of one length, which HDF5 compresses; texts of any length it keeps as they are."""
    fixed = np.char.encode(names.astype(str), "utf-8")
    made = store.create_dataset(key, data=fixed, compression="gzip", compression_opts=9)
    made.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def open_file(path: Path, needs: str) -> ad.AnnData:
    """Read an .h5ad whole; raises InputError where it is missing (then it says what a bundle needs) or broken."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; a bundle needs {needs}.")
    if not h5py.is_hdf5(path):
        raise InputError(f"{path} is not an .h5ad (HDF5) file. Is it whole?")
    try:
        return ad.read_h5ad(path)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as .h5ad; it may be truncated, or another kind of file ({error})."
        ) from error


_PLACES = ("layers", "obsm", "varm", "var")
