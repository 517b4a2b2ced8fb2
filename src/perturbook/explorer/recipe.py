"""Sizes of an atlas. Source: `concepts.md` section 3.2 for scVI; the width for scGPT as in the positive control; the rest our choice."""

from dataclasses import asdict, dataclass

from perturbook.concepts.gradient_screen import Screen
from perturbook.explorer.subject import Subject


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Sizes of one atlas."""

    width: int
    k: int
    passes: int
    batch: int = 128
    prototypes: int = 20
    controls: int = 10
    """Prototypes of each negative control."""
    screen: Screen | None = None
    """Which swaps are verified; every one is where None."""

    def as_dict(self) -> dict:
        """Plain values by name."""
        return asdict(self) | {"screen": self.screen and asdict(self.screen)}

    def notes(self, subject: Subject) -> list[str]:
        """What a reader must know of every number."""
        said = [
            f"Autoencoder: {self.width} concepts, {self.k} active per cell, trained on {(subject.part == 'train').sum():,} of the "
            f"{len(subject.z):,} cells. Cells are held out within {' and '.join(subject.labels) or 'all cells'}; donors are not known, "
            "so donor effects are not controlled.",
        ]
        if subject.encoder:
            said.append(
                f"Genes: up to {self.prototypes} prototypes among the training cells, each against its nearest cell of the same "
                f"{subject.labels[0] if subject.labels else 'data'} in which the feature is silent. A swap that takes activity away is a "
                "property of the encoder; it is no proof of regulation in cells."
            )
        if self.screen and subject.encoder:
            said.append(
                f"The {self.screen.lead} leading genes of a feature are verified by exact swaps and have a standard error; the others have "
                "the value that a derivative predicts, and no error."
            )
        return said


RECIPES = {
    "small": Recipe(
        width=256, k=16, passes=200, prototypes=12, controls=6, screen=Screen(q=1, others=0, lead=15)
    ),
    "scvi": Recipe(width=160, k=3, passes=100),
}
"""By backbone."""
LIBRARIES = ("geneset-hallmark", "geneset-celltypes")
"""Gene sets that features are tested on; each gives rates of its own."""
