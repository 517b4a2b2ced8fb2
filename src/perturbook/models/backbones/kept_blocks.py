"""Finished blocks of an embedding on disk, so that a run that was killed goes on where it stood.

Source: our choice. A block is written under another name and moved into place, so that one that is there is whole.
"""

import json
import os
from pathlib import Path

import numpy as np

from perturbook.errors import InputError

RUN = "run.json"
FORMAT = 1


class KeptBlocks:
    """A folder of blocks that belong to one run: one backbone, one seed, one data set."""

    def __init__(self, folder: str | Path, run: dict):
        """Open the folder of a run, or begin one.

        Args:
            folder: new, empty, or that of the same run.
            run: everything that decides the numbers, of plain types.

        Raises:
            InputError: the folder belongs to another run, and what differs is named; or it holds other things.
        """
        self.folder, run = Path(folder), {"format": FORMAT} | run
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder} is no folder; finished blocks need one.")
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / RUN
        if not path.exists():
            if other := sorted(one.name for one in self.folder.iterdir() if not one.name.endswith(".part")):
                raise InputError(
                    f"{self.folder} holds {other[0]} and is not of an embedding; take a new folder."
                )
            _write(path, lambda file: file.write(json.dumps(run, indent=1).encode()))
        try:
            then = json.loads(path.read_text())
            differ = sorted(name for name in run.keys() | then.keys() if run.get(name) != then.get(name))
        except (ValueError, AttributeError) as error:
            raise InputError(f"{path} cannot be read; delete {self.folder} to begin anew.") from error
        if differ:
            raise InputError(
                f"{self.folder} holds blocks of another run: {', '.join(differ)} differ{'s' if len(differ) == 1 else ''}. "
                "Finish that run, or delete the folder to begin anew."
            )

    def read(self, number: int, shape: tuple[int, int]) -> np.ndarray | None:
        """Block `number`, or None where it is not there, or not as it must be."""
        path = self._path(number)
        try:
            with path.open("rb") as file:
                block = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return block if block.shape == shape and block.dtype == np.float32 else None

    def write(self, number: int, block: np.ndarray) -> None:
        """Keep block `number`."""
        _write(self._path(number), lambda file: np.save(file, block))

    def _path(self, number: int) -> Path:
        return self.folder / f"block-{number:06d}.npy"


def _write(path: Path, fill) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    with partial.open("wb") as file:
        fill(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
