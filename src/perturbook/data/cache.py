"""Which public files are on this machine: in the cache, in the offline folder, inside an installed wheel.

A file is identified by its sha256, never by its name: the offline folder may call it anything, and a file with the
right name and other bytes is not opened. Only a file whose sha256 nobody can vouch for (`trust.py`), and one that
lies in a folder with others, is found by its name. Source: `datasets.md`, rules and section 4.
"""

import importlib.util
from pathlib import Path

from perturbook.data.dataset import PublicFile
from perturbook.data.folders import MIRROR, cache_folder, mirror_folder
from perturbook.data.trust import file_sha256, refuse_wrong_bytes
from perturbook.errors import DataUnavailable

WHEEL = "wheel:"


def _in_wheel(file: PublicFile) -> Path:
    package, _, inside = file.url.removeprefix(WHEEL).partition("/")
    spec = importlib.util.find_spec(package)  # finds the folder without importing the package
    path = Path(spec.submodule_search_locations[0]) / inside if spec else None
    if path is None or not path.is_file():
        raise DataUnavailable(
            f"{file.name} ({file.size:,} bytes) comes with the package {package}: pip install {package}."
        )
    return path


def _by_name(file: PublicFile) -> bool:
    return bool(file.folder) or not file.sha256


def _in_mirror(file: PublicFile) -> Path | None:
    folder = mirror_folder()
    if folder is None:
        return None
    if _by_name(file):
        path = folder / file.folder / file.name
        return path if path.is_file() else None
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size == file.size and file_sha256(path) == file.sha256:
            return path
    return None


def find(file: PublicFile) -> Path | None:
    """The file on this machine, without a network, its bytes compared with the registry or the pin; None if not here.

    Raises:
        InputError: other bytes stand under this name in the cache or the wheel, or wherever a name is all that counts.
    """
    if file.url.startswith(WHEEL):
        path = _in_wheel(file)
    else:
        path = cache_folder() / file.folder / file.name
        path = path if path.is_file() else _in_mirror(file)
    if path is not None:
        refuse_wrong_bytes(file, path)
    return path


def where_missing(file: PublicFile) -> str:
    """For messages: where `file` was looked for, and what stands in the offline folder instead."""
    folder = mirror_folder()
    if folder is None:
        offline = f"{MIRROR} is not set"
    elif _by_name(file):
        offline = f"{MIRROR}={folder} holds no file {Path(file.folder) / file.name}"
    elif (folder / file.name).is_file():
        found = file_sha256(folder / file.name)
        offline = f"{MIRROR}={folder} has a {file.name} with sha256 {found}, expected {file.sha256}"
    else:
        offline = f"{MIRROR}={folder} holds no file with sha256 {file.sha256}"
    cache = cache_folder() / file.folder
    return (
        f"{file.name} ({file.size_text}) is neither in the cache {cache} nor in an offline folder ({offline})"
    )
