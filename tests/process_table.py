"""Which processes run, as `ps` says; one that ended and was not collected yet does not run."""

import subprocess
import time
from collections.abc import Callable, Collection


def running() -> dict[int, str]:
    """Command line of every running process by its id."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return {int(row[0]): row[2] for row in rows if len(row) == 3 and not row[1].startswith("Z")}


def gone_within(seconds: float, still: Callable[[], Collection]) -> bool:
    """Whether `still()` becomes empty within so many seconds."""
    end = time.monotonic() + seconds
    while left := still():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return not left


def descendants(pid: int) -> set[int]:
    """Every running process that `pid` started, directly or not."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    found, size = {pid}, 0
    while size != len(found):
        size = len(found)
        found |= {int(one) for one, parent, state in rows if int(parent) in found and state[0] != "Z"}
    return found - {pid}
