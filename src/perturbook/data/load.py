"""`load`: a registry entry, or a user's own file, as a checked object."""

import inspect
from pathlib import Path
from typing import Any

from anndata import AnnData, read_h5ad, read_zarr

from perturbook.data.dataset import DATASETS
from perturbook.data.fetch import fetch
from perturbook.data.own import Columns, canonical, with_columns
from perturbook.data.own_files import own_origin, reading
from perturbook.data.schema import COLUMNS
from perturbook.data.validate import validate
from perturbook.errors import ConfigError


def load(name: str | Path, columns: Columns | None = None, **options: Any) -> Any:
    """The data set `name`, prepared and checked.

    Args:
        name: a registry name, or the path of a reader's own .h5ad file or .zarr folder.
        columns: what the columns of the reader's file hold; None where they are canonical. For a registry entry or a
            canonical file only `context` and `batch`: other columns to be taken as context and replicate.
        options: parameters of the preparation (simulators have some); none for a file.

    Returns:
        AnnData in the canonical schema; gene sets as a dictionary from set name to symbols.

    Raises:
        ConfigError: unknown name or option.
        InputError: the file cannot be read or fails a check.
        DataUnavailable: the public files are not to be had.
    """
    if name not in DATASETS and (
        isinstance(name, Path) or name.endswith((".h5ad", ".zarr")) or Path(name).exists()
    ):
        if options:
            raise ConfigError(f"Options {sorted(options)} given for the file {name}; a file takes none.")
        return _read_own(Path(name), columns)
    entry = DATASETS[name]
    allowed = list(inspect.signature(entry.prepare).parameters)[len(entry.files) :]
    if unknown := sorted(set(options) - set(allowed)):
        raise ConfigError(
            f"{name} has no option {', '.join(unknown)}. Allowed: {', '.join(allowed) or 'none'}."
        )
    if columns and not entry.cells:
        raise ConfigError(f"{name} holds no cells and has no columns to name.")
    prepared = entry.prepare(*fetch(name), **options)
    if columns:
        prepared = with_columns(prepared, columns)
    return validate(prepared) if entry.cells else prepared


def _read_own(path: Path, columns: Columns | None) -> AnnData:
    with reading(path):
        adata = read_zarr(path) if path.is_dir() else read_h5ad(path)
    about = own_origin(path, adata)
    if columns and (columns.perturbation or not set(COLUMNS) <= set(adata.obs)):
        adata = canonical(adata, columns, path.name)
        about["recovered"], columns = adata.uns["origin"]["recovered"], None
    adata.uns["origin"] = about
    return validate(with_columns(adata, columns) if columns else adata)
