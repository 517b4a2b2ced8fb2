"""Start other programs so that nothing of them outlives us: not when they fail, not when we are killed."""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

POLL_S = 0.2


def run_module(
    module: str, arguments: list[str], log: Path, env: Mapping[str, str], limit_s: float | None = None
) -> int:
    """Run `python -m module` in a process group of its own, everything it says in `log`; return its exit code.

    When it ends, is interrupted or passes its limit, the rest of its group is ended too, and no other process.
    When this process is killed, the group notices and ends itself.

    Args:
        module: name of the module, as after `python -m`.
        arguments: its arguments.
        log: file for its output; replaced.
        env: environment variables beside those of this process.
        limit_s: seconds it may take; no limit when None.

    Raises:
        subprocess.TimeoutExpired: the limit passed.
    """
    command = [sys.executable, "-m", __spec__.name, str(os.getpid()), module, *arguments]
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **env},
        )
        try:
            return process.wait(limit_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def die_with(parent: int) -> None:
    """End this process group as soon as the process that started it is gone.

    An orphan is given another parent. Asking whether `parent` lives would be fooled by a zombie or by a reused id.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def main(parent: str, module: str) -> None:
    """Run `module` as `python -m` does, watching over its parent; the body of the process that `run_module` starts."""
    die_with(int(parent))
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
