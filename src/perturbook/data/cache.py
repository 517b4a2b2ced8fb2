"""Which public files are on this machine: in the cache, in the offline folder, inside an installed wheel.

A file is identified by its sha256, never by its name: the offline folder may call it anything, and a file with the
right name and other bytes is not opened. Source: `datasets.md`, rules.
"""

import importlib.util
import os
from functools import lru_cache
from pathlib import Path

import pooch

from perturbook.data.dataset import PublicFile
from perturbook.errors import ConfigError, DataUnavailable, InputError

MIRROR = "PERTURBOOK_MIRROR"
CACHE = "PERTURBOOK_CACHE"
WHEEL = "wheel:"


def cache_folder() -> Path:
    """Where downloads are kept: the folder named by `PERTURBOOK_CACHE`, or this user's cache folder."""
    return Path(os.environ.get(CACHE) or pooch.os_cache("perturbook")).expanduser()


def mirror_folder() -> Path | None:
    """The offline folder named by `PERTURBOOK_MIRROR`; None where the variable is not set.

    Raises:
        ConfigError: the variable names something that is not a folder.
    """
    named = os.environ.get(MIRROR)
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{MIRROR} is {named!r}, which is not a folder. Correct it or unset it.")
    return folder


@lru_cache(maxsize=256)
def _sha256(path: str, modified_ns: int, size: int) -> str:
    return pooch.file_hash(path, alg="sha256")


def file_sha256(path: Path) -> str:
    """sha256 of the file at `path`, computed once per process as long as its time and size stay the same."""
    stat = path.stat()
    return _sha256(str(path.resolve()), stat.st_mtime_ns, stat.st_size)


def refuse_wrong_bytes(file: PublicFile, path: Path) -> None:
    """Compare the checksum of `path` with the registry; the file stays where it is.

    Raises:
        InputError: they differ; the message shows both.
    """
    found = file_sha256(path)
    if found != file.sha256:
        raise InputError(
            f"{path} is not {file.name}: its sha256 is {found}, expected {file.sha256}. "
            "It was not opened and was left in place; move it away and fetch again."
        )


def _in_wheel(file: PublicFile) -> Path:
    package, _, inside = file.url.removeprefix(WHEEL).partition("/")
    spec = importlib.util.find_spec(package)  # finds the folder without importing the package
    path = Path(spec.submodule_search_locations[0]) / inside if spec else None
    if path is None or not path.is_file():
        raise DataUnavailable(
            f"{file.name} ({file.size:,} bytes) comes with the package {package}: pip install {package}."
        )
    return path


def _in_mirror(file: PublicFile) -> Path | None:
    folder = mirror_folder()
    for path in sorted(folder.iterdir()) if folder else ():
        if path.is_file() and path.stat().st_size == file.size and file_sha256(path) == file.sha256:
            return path
    return None


def find(file: PublicFile) -> Path | None:
    """The verified file on this machine, without a network; None where it is not here.

    Raises:
        InputError: the cache (or the wheel) holds other bytes under this name.
    """
    if file.url.startswith(WHEEL):
        path = _in_wheel(file)
    else:
        path = cache_folder() / file.name
        if not path.is_file():
            return _in_mirror(file)
    refuse_wrong_bytes(file, path)
    return path


def where_missing(file: PublicFile) -> str:
    """For messages: where `file` was looked for, and what stands in the offline folder instead."""
    folder = mirror_folder()
    if folder is None:
        offline = f"{MIRROR} is not set"
    elif (folder / file.name).is_file():
        found = file_sha256(folder / file.name)
        offline = f"{MIRROR}={folder} has a {file.name} with sha256 {found}, expected {file.sha256}"
    else:
        offline = f"{MIRROR}={folder} holds no file with sha256 {file.sha256}"
    return f"{file.name} ({file.size:,} bytes) is neither in the cache {cache_folder()} nor in an offline folder ({offline})"


def forget_checksums() -> None:
    """Hash every file anew from now on."""
    _sha256.cache_clear()
