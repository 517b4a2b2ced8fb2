"""One download: resumed where it stopped, its checksum compared before it gets its name, never half under that name."""

import fcntl
import sys
import time
from pathlib import Path

from perturbook.data.dataset import PublicFile
from perturbook.data.trust import refuse_wrong_bytes

ATTEMPTS = 3
PAUSE_S = 1.0  # before the second attempt; doubled each time
TIMEOUT_S = 30
BLOCK = 1 << 18


def download(file: PublicFile, folder: Path) -> Path:
    """Fetch `file` into `folder` and return its path; a partial file is kept and continued by the next call.

    Raises:
        InputError: the bytes received have another checksum; they are kept as `<name>.rejected`.
        OSError: the network failed (requests' errors are OSErrors), or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / file.name, folder / f"{file.name}.part"
    with (folder / f"{file.name}.lock").open("w") as lock:
        # Two processes would write into one partial file. The lock is released even if we are killed.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_file():  # another process may have finished it while we waited
            _receive_with_retries(file, part)
            _reject_wrong_bytes(file, part)
            part.replace(path)
    return path


def _receive_with_retries(file: PublicFile, part: Path) -> None:
    """Only the network and the server's own failures are tried again; any other error is a fault to be seen."""
    import requests  # local: slow to import, and this file is imported with its room

    transient = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    for attempt in range(ATTEMPTS):
        try:
            return _receive(file, part)
        except transient:
            if attempt == ATTEMPTS - 1:
                raise
        except requests.HTTPError as error:
            if error.response.status_code < 500 or attempt == ATTEMPTS - 1:
                raise
        time.sleep(PAUSE_S * 2**attempt)


def _receive(file: PublicFile, part: Path) -> None:
    import requests

    have = part.stat().st_size if part.exists() else 0
    if file.size and have > file.size:
        part.unlink()  # cannot be the beginning of this file
        have = 0
    if file.size and have == file.size:
        return
    # A compressed transfer would make byte positions meaningless.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(file.url, headers=headers, stream=True, timeout=TIMEOUT_S) as reply:
        if reply.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()  # the partial file is longer than what is there; the next attempt starts anew
            raise requests.ConnectionError(f"{part.name} does not fit what the server has")
        reply.raise_for_status()
        if reply.status_code not in (requests.codes.ok, requests.codes.partial_content):
            raise requests.HTTPError(  # such as 202: a page that wants a browser, not the file
                f"{file.url} answered {reply.status_code} instead of sending the file", response=reply
            )
        if reply.status_code != requests.codes.partial_content:
            have = 0  # the server sends the whole file
        size = file.size or have + int(reply.headers.get("Content-Length", 0))
        _show(file, have, size)
        with part.open("ab" if have else "wb") as out:
            for block in reply.iter_content(BLOCK):
                have += out.write(block)
                _show(file, have, size)
    if have < size:
        raise requests.ConnectionError(f"received {have:,} of {size:,} bytes")


def _reject_wrong_bytes(file: PublicFile, part: Path) -> None:
    rejected = part.with_suffix(".rejected")
    part.replace(rejected)
    refuse_wrong_bytes(file, rejected)
    rejected.replace(part)


def _show(file: PublicFile, have: int, size: int) -> None:
    """One line on stderr: rewritten in a terminal; in a log only the first and the last."""
    ends = "\n" if have >= size or not sys.stderr.isatty() else "\r"
    if sys.stderr.isatty() or have in (0, size):
        sys.stderr.write(f"{file.name}: {have / 1e6:.1f} of {size / 1e6:.1f} MB{ends}")
        sys.stderr.flush()
