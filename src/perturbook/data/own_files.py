"""A reader's own file on disk: an .h5ad file or a .zarr folder that is whole, and what identifies it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import zarr
from anndata import AnnData

from perturbook.data.cache import file_sha256
from perturbook.data.dataset import DATASETS
from perturbook.data.schema import origin
from perturbook.errors import InputError


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Check that `path` can be what it should be; turn what its library raises while it is read into one message.

    Raises:
        InputError: there is nothing at `path`, or neither an .h5ad file nor a whole .zarr folder.
    """
    if not path.exists():
        raise InputError(
            f"There is no file {path}. Give the path of an .h5ad file or a .zarr folder, or a name: "
            f"{', '.join(sorted(DATASETS))}."
        )
    folder = path.is_dir()
    if folder and not any((path / mark).is_file() for mark in ("zarr.json", ".zgroup")):
        raise InputError(
            f"{path} is a folder but no .zarr; give an .h5ad file, or the top folder of a .zarr."
        )
    if not folder and not h5py.is_hdf5(path):
        raise InputError(f"{path} is not an .h5ad (HDF5) file.")
    try:
        if folder:
            _refuse_missing_chunks(path)
        yield
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} cannot be read as {'.zarr' if folder else '.h5ad'}; it may be truncated "
            f"({type(error).__name__}: {error})."
        ) from error


def _refuse_missing_chunks(path: Path) -> None:
    """A missing chunk of a sparse matrix would be read as zeros, without a word."""
    for name, array in zarr.open_group(path, mode="r").members(max_depth=None):
        if name.endswith(("/data", "/indices")) and array.nchunks_initialized < array.nchunks:
            raise InputError(
                f"{path}: {name} has {array.nchunks_initialized:,} of {array.nchunks:,} chunks; copy the folder again."
            )


def own_sha256(path: str | Path) -> str:
    """sha256 of a reader's file; of a .zarr folder, that of the names and checksums of its files, in order of name."""
    path = Path(path)
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} {file_sha256(file)}\n".encode())
    return digest.hexdigest()


def own_origin(path: Path, adata: AnnData) -> dict:
    """What pages print about a reader's file: its name and checksum, and what it says of its origin itself."""
    stated = adata.uns.get("origin")
    about = origin(path.name, "Values as the file holds them.") | {"sha256": [own_sha256(path)]}
    return about | (stated if isinstance(stated, dict) else {})
