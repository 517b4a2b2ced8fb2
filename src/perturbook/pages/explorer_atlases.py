"""The deposited atlases of the concept explorer, `results/explorer/<name>/`: which there are, and reading them.

Two backbones and three data sets, less scVI on the 700 cells that come without counts.
"""

from pathlib import Path

from perturbook import data
from perturbook.errors import InputError
from perturbook.explorer.atlas import Atlas, read
from perturbook.pages.table import ROOT

PAGE = "explorer"
FOLDER = ROOT / "results" / "explorer"
ATLASES = {
    "kang-small": ("kang2018-mini", "small"),
    "kang-scvi": ("kang2018-mini", "scvi"),
    "pbmc3k-small": ("pbmc3k", "small"),
    "pbmc3k-scvi": ("pbmc3k", "scvi"),
    "pbmc68k-small": ("pbmc68k-reduced", "small"),
}
"""Name -> data set and backbone."""


def stored(folder: Path = FOLDER) -> list[Atlas]:
    """The deposited atlases, in their order.

    Raises:
        InputError: one is missing or damaged, or was made from other data than the data set now holds.
    """
    found = [read(folder / name) for name in ATLASES]
    for atlas in found:
        dataset = ATLASES[atlas.name][0]
        if atlas.about["manifest"]["data"][dataset] != data.checksum(dataset):
            raise InputError(
                f"{folder / atlas.name} was made from other data than {dataset} now holds; make it with "
                f"`perturbook train {PAGE} {atlas.name}`."
            )
    return found
