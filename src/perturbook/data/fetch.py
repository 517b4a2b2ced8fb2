"""From a registry row to verified files: this machine first, then the network; and what is known of them."""

import hashlib
from pathlib import Path

from perturbook.data.cache import MIRROR, cache_folder, find, forget_checksums, where_missing
from perturbook.data.dataset import DATASETS, PublicFile
from perturbook.data.sources import source_files
from perturbook.errors import DataUnavailable, InputError


def local_path(file: PublicFile) -> Path:
    """The verified file: from the cache, the offline folder (used in place, not copied), a wheel, or downloaded.

    Raises:
        InputError: the bytes found or downloaded have another checksum.
        DataUnavailable: the file is nowhere to be had.
    """
    path = find(file)
    if path is not None:
        return path
    from perturbook.data.download import download  # slow to import and mostly not needed

    try:
        return download(file, cache_folder())
    except OSError as error:  # the errors of requests are OSErrors too
        raise DataUnavailable(
            f"{where_missing(file)}, and it could not be downloaded from {file.url} ({_short(error)}). Connect and "
            f"try again, or put the file under any name into a folder and set {MIRROR} to that folder."
        ) from error


def _short(error: OSError) -> str:
    return f"{type(error).__name__}: {error}"[:100]


def fetch(name: str) -> tuple[Path, ...]:
    """Make the files of registry entry `name` available and return their verified paths (none for a simulator)."""
    return tuple(local_path(file) for file in DATASETS[name].files)


def verify(name: str) -> dict[str, str]:
    """Read the files of `name` again and return sha256 by file name; nothing is downloaded.

    Raises:
        InputError: a file has other bytes than the registry says.
        DataUnavailable: a file is not on this machine.
    """
    forget_checksums()
    entry = DATASETS[name]
    for file in entry.files:
        if find(file) is None:
            raise DataUnavailable(
                f"{where_missing(file)}: run `perturbook data fetch {name}` (from {file.url}), or set {MIRROR}."
            )
    return {file.name: file.sha256 for file in entry.files}


def available(name: str) -> bool:
    """Whether `load(name)` would work without a network: in the cache, the offline folder, a wheel, or simulated."""
    try:
        return all(find(file) is not None for file in DATASETS[name].files)
    except (InputError, DataUnavailable):
        return False


def checksum(name: str) -> str:
    """What identifies the bytes behind `name`: sha256 of its file, of several files' checksums, or of a simulator's code."""
    entry = DATASETS[name]
    if len(entry.files) == 1:
        return entry.files[0].sha256
    if entry.files:
        return hashlib.sha256("\n".join(sorted(file.sha256 for file in entry.files)).encode()).hexdigest()
    digest = hashlib.sha256()
    for path in source_files(entry.prepare):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()
