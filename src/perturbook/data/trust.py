"""Why the bytes of a file are believed: a checksum of ours, a third party's listing, or the first use on this machine.

Where the registry has no sha256, a file is known by its name alone. What a third party lists is compared and a
difference said aloud, never an error; the first successful preparation then pins sha256 in the cache, and other bytes
under that name are refused from then on. Source: `datasets.md` section 4.
"""

import json
from functools import lru_cache
from pathlib import Path

import pooch

from perturbook.data.dataset import PublicFile
from perturbook.data.folders import cache_folder
from perturbook.errors import InputError


@lru_cache(maxsize=256)
def _hash(path: str, algorithm: str, modified_ns: int, size: int) -> str:
    return pooch.file_hash(path, alg=algorithm)


def file_hash(path: Path, algorithm: str) -> str:
    """Checksum of the file at `path`, computed once per process as long as its time and size stay the same."""
    stat = path.stat()
    return _hash(str(path.resolve()), algorithm, stat.st_mtime_ns, stat.st_size)


def file_sha256(path: Path) -> str:
    """sha256 of the file at `path`, computed once per process as long as its time and size stay the same."""
    return file_hash(path, "sha256")


def forget_checksums() -> None:
    """Hash every file anew from now on."""
    _hash.cache_clear()


def _pin(file: PublicFile) -> Path:
    return cache_folder() / "pins" / f"{file.name}.json"


def pinned(file: PublicFile) -> str:
    """sha256 of `file` when it was first prepared on this machine; empty before that."""
    path = _pin(file)
    return json.loads(path.read_text())["sha256"] if path.is_file() else ""


def pin(file: PublicFile, path: Path) -> None:
    """Remember the bytes at `path` as those of `file`; nothing where a checksum is known or pinned already."""
    if file.sha256 or pinned(file):
        return
    place = _pin(file)
    place.parent.mkdir(parents=True, exist_ok=True)
    making = place.with_suffix(".part")
    making.write_text(json.dumps({"file": file.name, "sha256": file_sha256(path)}) + "\n")
    making.replace(place)


def refuse_wrong_bytes(file: PublicFile, path: Path) -> None:
    """Compare the checksum of `path` with the registry, or with the pin; the file stays where it is.

    Raises:
        InputError: they differ; the message shows both.
    """
    expected = file.sha256 or pinned(file)
    if not expected or file_sha256(path) == expected:
        return
    pin_of = (
        "" if file.sha256 else f", pinned when it was first prepared (delete {_pin(file)} to trust it anew)"
    )
    raise InputError(
        f"{path} is not {file.name}: its sha256 is {file_sha256(path)}, expected {expected}{pin_of}. "
        "It was not opened and was left in place; move it away and fetch again."
    )


def doubts(file: PublicFile, path: Path) -> str:
    """What speaks against the bytes at `path`: a listing they differ from, or that nothing is known; else empty."""
    if file.sha256:
        return ""
    differs = []
    if file.size and path.stat().st_size != file.size:
        differs.append(f"it has {path.stat().st_size:,} bytes, listed are {file.size:,}")
    algorithm, _, listed = file.listed.partition(":")
    if listed and file_hash(path, algorithm) != listed:
        differs.append(f"its {algorithm} is {file_hash(path, algorithm)}, listed is {listed}")
    if differs:
        return f"{file.name} differs from the listing of {file.listed_by}: {' and '.join(differs)}."
    return "" if listed else f"No checksum of {file.name} is known beforehand."


def listing(file: PublicFile, path: Path) -> str:
    """One sentence: what is known of the bytes at `path` before they are used."""
    if file.sha256:
        return f"{file.name}: checksum right."
    algorithm = file.listed.partition(":")[0]
    return doubts(file, path) or f"{file.name}: {algorithm} as listed by {file.listed_by}."


def standing(file: PublicFile, path: Path) -> str:
    """Why the bytes at `path` are believed now; only a checksum of ours makes it "checksum right"."""
    if file.sha256:
        return "checksum right"
    since = "the same bytes as at the first use" if pinned(file) else "trusted on first use"
    return f"{listing(file, path)} sha256 {file_sha256(path)}: {since}."
