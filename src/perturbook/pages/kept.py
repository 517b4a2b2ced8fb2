"""What a page keeps: a folder written whole or not at all, or the project's deposit in its place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perturbook.errors import DataUnavailable
from perturbook.pages.table import ROOT


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into and put it at `folder` when the block ends well; otherwise leave no trace."""
    folder = Path(folder)
    making = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        yield making
        shutil.rmtree(folder, ignore_errors=True)
        making.replace(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def open_deposit(page: str, seed: int, needs: str, out: Path, absent: DataUnavailable) -> None:
    """Put the deposit of `page` at `out`.

    Args:
        page: page id.
        seed: seed of the deposit.
        needs: file without which a deposit is none.
        out: folder of what the page keeps; replaced.
        absent: why the data cannot be had.

    Raises:
        DataUnavailable: there is no deposit either.
    """
    deposit = ROOT / "results" / page / str(seed)
    if not (deposit / needs).is_file():
        raise DataUnavailable(
            f"{absent} The project has no deposit of page {page!r}, seed {seed}, either."
        ) from absent
    with whole_folder(out) as making:
        shutil.copytree(deposit, making, dirs_exist_ok=True)
