"""The project's deposit, where the data of a page cannot be had, or a page reads what another one kept."""

import shutil
from pathlib import Path

from perturbook.errors import DataUnavailable, InputError
from perturbook.pages.table import ROOT
from perturbook.whole import whole_folder


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


def folder_of(page: str, bundles: str, file: str) -> Path:
    """Folder of a page's bundle in a build, else of its deposit: a smoke build does not hold every page.

    Args:
        page: page id.
        bundles: folder with one bundle per page; empty for the deposits.
        file: what the folder must hold.

    Raises:
        InputError: the page is in neither place.
    """
    for place in (ROOT / bundles / page, ROOT / "results" / page / "0"):
        if (place / file).is_file():
            return place
    raise InputError(f"{bundles or 'results/'} lacks {page}; run `make book` first.")
