"""The checkpoint in the box: where it lies, and what it was trained on. Reading this loads no torch."""

import json
from functools import cache
from pathlib import Path

import numpy as np

from perturbook.errors import InputError
from perturbook.splits import Pretrained, TrainedOn

FOLDER = Path(__file__).parent / "checkpoints" / "small"
"""args.json, vocab.json, model.safetensors, card.json, curve.csv and training_cells.npy."""
CARD, CELLS = "card.json", "training_cells.npy"
OF_AUDIT = [FOLDER / CARD, FOLDER / CELLS]
"""The files that say what the checkpoint was trained on."""


@cache
def card(folder: Path = FOLDER) -> dict:
    """The model card of a checkpoint of this project.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    try:
        return json.loads((folder / CARD).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / CARD} cannot be read as a model card: {error}.") from error


@cache
def pretrained(folder: Path = FOLDER) -> Pretrained:
    """What the checkpoint was trained on, for the audit of every page.

    Raises:
        InputError: the card or the list of its cells cannot be read, or the two do not agree.
    """
    about = card(folder)
    try:
        cells = np.load(folder / CELLS, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / CELLS} cannot be read as a list of training cells: {error}.") from error
    seen = tuple(
        TrainedOn(one["dataset"], one["cells"], tuple(one["contexts"])) for one in about["trained_on"]
    )
    if len(cells) != (n := sum(one.cells for one in seen)):
        raise InputError(
            f"{folder} lists {len(cells):,} training cells, its card {n:,}; take both from one run."
        )
    return Pretrained(about["name"], seen, cells)
