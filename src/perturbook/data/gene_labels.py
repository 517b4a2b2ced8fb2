"""Genetic perturbations by name: `KLF1+MAP2K6` is one perturbation of two genes, written in one way.

Source: `datasets.md` section 1.
"""

import re
from collections.abc import Collection, Iterable

import numpy as np

from perturbook.data.check_labels import CONTROL_SPELLINGS
from perturbook.data.schema import CONTROL
from perturbook.errors import InputError


def genes_of(perturbation: str) -> tuple[str, ...]:
    """The gene symbols of a canonical label: none for `control`, two for a double perturbation."""
    return () if perturbation == CONTROL else tuple(perturbation.split("+"))


def normalise(labels: Iterable[str], known_symbols: Collection[str]) -> np.ndarray:
    """Canonical labels (cells,) of labels in any of the conventions in circulation.

    `A+B`, `B+A`, and, where both parts are known symbols, `A_B` and `A,B` become `A+B`, sorted. `A+ctrl`, `ctrl+A` and
    their like become `A`. `ctrl`, `non-targeting`, the empty label and the other spellings of a control become
    `control`. Everything else stays as it is: `HLA-A`, and `A_B` where a part is not known. A gene that a label names
    twice counts once.

    Args:
        labels: one label per cell.
        known_symbols: gene symbols an underscore or a comma may separate, such as the genes measured in the screen and
            those that stand alone in other labels.

    Raises:
        InputError: a label is missing or is no text; whether such a cell is a control cannot be told.

    Source: `datasets.md` section 1; a control beside a gene after an underscore or a comma, and the gene named twice,
    are our choice.
    """
    labels = np.asarray(list(labels), dtype=object)
    no_text = np.array([not isinstance(label, str) for label in labels], dtype=bool)
    if no_text.any():
        raise InputError(
            f"{no_text.sum():,} of {len(labels):,} perturbation labels are missing or no text, such as "
            f"{labels[no_text][0]!r}. Fill them, or leave these cells out."
        )
    known = set(known_symbols)
    canonical = {label: _canonical(label, known) for label in set(labels)}
    return np.array([canonical[label] for label in labels], dtype=object)


def _canonical(label: str, known: set[str]) -> str:
    parts = {part.strip() for part in label.split("+")}
    if len(parts) == 1 and label.strip() not in known:
        pieces = {piece.strip() for piece in re.split("[_,]", label)}
        if all(piece in known or _is_control(piece) for piece in pieces):
            parts = pieces
    genes = sorted(part for part in parts if not _is_control(part))
    return "+".join(genes) or CONTROL


def _is_control(part: str) -> bool:
    return part.lower() in CONTROL_SPELLINGS
