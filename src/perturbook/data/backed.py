"""`open_backed`: a canonical file of any size, its values left on disk and read in blocks of cells."""

from pathlib import Path

import h5py
import zarr
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset

from perturbook.data.own_files import own_origin, reading
from perturbook.data.validate import validate


def open_backed(path: str | Path) -> AnnData:
    """Open a canonical .h5ad file or .zarr folder without loading `X` and the layers, and check it in blocks.

    Labels are in memory. `pseudobulk`, `splits.split` and `splits.audit` take the result and hold a block of cells at
    a time; for anything else take the cells it needs into memory, `adata[names].to_memory()`.

    Raises:
        InputError: the file cannot be read or fails a check.
    """
    path = Path(path)
    with reading(path):
        group = zarr.open_group(path, mode="r") if path.is_dir() else h5py.File(path)
        parts = {key: read_elem(group[key]) for key in ("obs", "var", "uns") if key in group}
        layers = {name: _on_disk(group["layers"][name]) for name in group.get("layers", ())}
        adata = AnnData(X=_on_disk(group["X"]), layers=layers, **parts)
    adata.uns["origin"] = own_origin(path, adata)
    return validate(adata)


def _on_disk(element):
    """A stored matrix as an object that reads the rows it is asked for."""
    return sparse_dataset(element) if isinstance(element, h5py.Group | zarr.Group) else element
