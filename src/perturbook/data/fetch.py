"""From a registry row to its files: this machine first, then the network; and what is known of them."""

import hashlib
import warnings
from pathlib import Path

from perturbook.data.cache import find, where_missing
from perturbook.data.dataset import DATASETS, PublicFile
from perturbook.data.folders import MIRROR, cache_folder
from perturbook.data.sources import source_files
from perturbook.data.trust import doubts, file_sha256, forget_checksums, pinned, standing
from perturbook.errors import DataUnavailable, InputError


def local_path(file: PublicFile) -> Path:
    """The file: from the cache, the offline folder (used in place, not copied), a wheel, or downloaded.

    Raises:
        InputError: the bytes found or downloaded have another checksum.
        DataUnavailable: the file is nowhere to be had, or only a person can fetch it.
    """
    path = find(file)
    if path is not None:
        return path
    if file.folder:
        raise DataUnavailable(
            f"{where_missing(file)}. It cannot be downloaded by a program: get it from {file.url} and put it at "
            f"{cache_folder() / file.folder / file.name}, or into {file.folder}/ of a folder named by {MIRROR}."
        )
    from perturbook.data.download import download  # slow to import and mostly not needed

    try:
        return download(file, cache_folder())
    except OSError as error:  # the errors of requests are OSErrors too
        raise DataUnavailable(
            f"{where_missing(file)}, and it could not be downloaded from {file.url} ({_short(error)}). Connect and "
            f"try again, or put the file {'under any name' if file.sha256 else 'under this name'} into a folder and "
            f"set {MIRROR} to that folder."
        ) from error


def _short(error: OSError) -> str:
    return f"{type(error).__name__}: {error}"[:100]


def _here(name: str, file: PublicFile) -> Path:
    path = find(file)
    if path is None:
        raise DataUnavailable(
            f"{where_missing(file)}: run `perturbook data fetch {name}` (from {file.url}), or set {MIRROR}."
        )
    return path


def fetch(name: str, *, asked: bool = False) -> tuple[Path, ...]:
    """Make the files of registry entry `name` available and return their paths (none for a simulator).

    Args:
        name: registry name.
        asked: the user asked for this very download; without it the files of a full-size entry are only looked for.

    Raises:
        InputError: a file has another checksum than the registry says, or than at its first use.
        DataUnavailable: a file is nowhere to be had, or full-size, absent and not asked for.
    """
    entry = DATASETS[name]
    given = not entry.full_size or asked
    paths = tuple(local_path(file) if given else _here(name, file) for file in entry.files)
    for file, path in zip(entry.files, paths, strict=True):
        doubt = "" if pinned(file) else doubts(file, path)
        if doubt:
            warnings.warn(f"{doubt} It is trusted on first use.", stacklevel=2)
    return paths


def verify(name: str) -> dict[str, str]:
    """Read the files of `name` again and return what their checksums say, by file name; nothing is downloaded.

    Raises:
        InputError: a file has other bytes than the registry says, or than at its first use.
        DataUnavailable: a file is not on this machine.
    """
    forget_checksums()
    return {file.name: standing(file, _here(name, file)) for file in DATASETS[name].files}


def available(name: str) -> bool:
    """Whether `load(name)` would work without a network: in the cache, the offline folder, a wheel, or simulated."""
    try:
        return all(find(file) is not None for file in DATASETS[name].files)
    except (InputError, DataUnavailable):
        return False


def checksum(name: str) -> str:
    """What identifies the bytes behind `name`: sha256 of its file, of several files' checksums, or of a simulator's code."""
    entry = DATASETS[name]
    sums = sorted(file.sha256 or file_sha256(_here(name, file)) for file in entry.files)
    if len(sums) == 1:
        return sums[0]
    if sums:
        return hashlib.sha256("\n".join(sums).encode()).hexdigest()
    digest = hashlib.sha256()
    for path in source_files(entry.prepare):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()
