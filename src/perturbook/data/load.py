"""`load`: a registry entry, or a user's own file, as a checked object."""

import inspect
from pathlib import Path
from typing import Any

import h5py
from anndata import AnnData, read_h5ad

from perturbook.data.cache import file_sha256
from perturbook.data.dataset import DATASETS
from perturbook.data.fetch import fetch
from perturbook.data.validate import validate
from perturbook.errors import ConfigError, InputError


def load(name: str | Path, **options: Any) -> Any:
    """The data set `name`, prepared and checked.

    Args:
        name: a registry name, or the path of an .h5ad file in the canonical schema.
        options: parameters of the preparation (simulators have some); none for a file.

    Returns:
        AnnData in the canonical schema; gene sets as a dictionary from set name to symbols.

    Raises:
        ConfigError: unknown name or option.
        InputError: the file cannot be read or fails a check.
        DataUnavailable: the public files are not to be had.
    """
    if name not in DATASETS and (isinstance(name, Path) or name.endswith(".h5ad") or Path(name).exists()):
        if options:
            raise ConfigError(f"Options {sorted(options)} given for the file {name}; a file takes none.")
        return _read_own(Path(name))
    entry = DATASETS[name]
    allowed = list(inspect.signature(entry.prepare).parameters)[len(entry.files) :]
    if unknown := sorted(set(options) - set(allowed)):
        raise ConfigError(
            f"{name} has no option {', '.join(unknown)}. Allowed: {', '.join(allowed) or 'none'}."
        )
    prepared = entry.prepare(*fetch(name), **options)
    return validate(prepared) if entry.cells else prepared


def _read_own(path: Path) -> AnnData:
    if not path.is_file():
        raise InputError(
            f"There is no file {path}. Give the path of an .h5ad file or a name: {', '.join(sorted(DATASETS))}."
        )
    if not h5py.is_hdf5(path):
        raise InputError(f"{path} is not an .h5ad (HDF5) file.")
    try:
        adata = read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as .h5ad; it may be truncated ({type(error).__name__}: {error})."
        ) from error
    if "origin" not in adata.uns:
        adata.uns["origin"] = {
            "name": path.name,
            "title": f"The reader's own file {path.name}",
            "url": [],
            "sha256": [file_sha256(path)],
            "licence": ["not stated"],
            "recovered": "Values as the file holds them.",
        }
    return validate(adata)
