"""What a frozen backbone was trained on, and the proof that none of it is held out."""

from dataclasses import dataclass, field

import numpy as np
from anndata import AnnData

from perturbook.data import DATASETS
from perturbook.data.fingerprint import fingerprints_of
from perturbook.errors import LeakError


@dataclass(frozen=True)
class TrainedOn:
    """One data set that a backbone was trained on."""

    dataset: str
    """Registry name."""
    cells: int
    """How many of its cells."""
    contexts: tuple[str, ...] = ()
    """Contexts of these cells."""

    @property
    def simulated(self) -> bool:
        """True for a simulator, whose worlds are told apart by their seeds."""
        return self.dataset in DATASETS and DATASETS[self.dataset].synthetic


@dataclass(frozen=True)
class Pretrained:
    """Everything a frozen backbone has seen before it meets the cells of a page."""

    name: str
    """Name of the backbone."""
    trained_on: tuple[TrainedOn, ...]
    """Its data sets."""
    cells: np.ndarray = field(repr=False)
    """Fingerprints of its training cells, uint64 `(cells,)`."""


def refuse_pretrained(adata: AnnData, pretrained: Pretrained) -> tuple[str, ...]:
    """Raise where the backbone was trained on the data set at hand, or on any of its cells under whatever name.

    A held-out context is a pair of data set and context: cells of the same type from another data set are allowed.
    Worlds of a simulator differ by seed, so their cells are compared and their names are not.

    Args:
        adata: the canonical AnnData that was split, `(cells, genes)`.
        pretrained: what the backbone has seen.

    Returns:
        One sentence per check that passed.

    Raises:
        LeakError: names the backbone and what it saw.

    Source: scdca.md section 5; fingerprints are our choice.
    """
    here = set(adata.obs["dataset"].astype(str).unique())
    if seen := sorted(here & {one.dataset for one in pretrained.trained_on if not one.simulated}):
        raise LeakError(
            f"The backbone {pretrained.name} was trained on cells of {seen[0]}, from which this page holds out. "
            "No score may be computed; use a backbone that has not seen it."
        )
    prints = fingerprints_of(adata)
    if prints is not None:
        same = np.isin(prints, pretrained.cells) & (prints != 0)
        if n := int(same.sum()):
            raise LeakError(
                f"{n} cells, such as {adata.obs_names[same][0]}, are cells that the backbone {pretrained.name} was "
                "trained on. No score may be computed; use a backbone that has not seen them."
            )
    how = "by name of the data set" if prints is None else "by name of the data set and by counts"
    real = [one for one in pretrained.trained_on if not one.simulated]
    simulated = sum(one.cells for one in pretrained.trained_on if one.simulated)
    saw = [f"{one.cells:,} cells of {one.dataset}" for one in real]
    saw += [f"{simulated:,} simulated cells of other worlds"] if simulated else []
    sentences = [
        f"The backbone {pretrained.name} was trained on {' and '.join(saw) or 'no cell'}, none of them from here ({how})."
    ]
    if named := [f"{one.dataset} ({', '.join(one.contexts)})" for one in real if one.contexts]:
        sentences.append(
            f"Unperturbed cells of the types of {'; '.join(named)} were among them; a type held out here may be one of these."
        )
    return tuple(sentences)
