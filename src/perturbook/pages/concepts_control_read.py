"""The deposit of the positive control, read: marks of every backbone, rankings, and what stands beside them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbook.concepts.encoder_of import BACKBONES
from perturbook.pages.concepts_control import (
    HELD_TYPE,
    Mark,
    Sets,
    concept_marks,
    gene_marks,
    set_mark,
    unrelated_mark,
)

TITLES = {
    "sae": "Sparse autoencoder, attribution",
    "gradient": "The same concept, gradient",
    "neurons": "Neuron, attribution",
    "pca": "Principal component, attribution",
    "ica": "Independent component, attribution",
    "de": "DE, stimulated against control, all genes",
    "de_tested": "DE, stimulated against control, tested genes",
    "de_concept": "DE, active against inactive cells, all genes",
    "de_concept_tested": "DE, active against inactive cells, tested genes",
    "unrelated": "A concept of another label, attribution",
}
"""Arms as a reader sees them, in the order of tables."""
CONCEPTS = ("sae", "neurons", "pca", "ica")
"""Arms that begin with a concept chosen for the stimulation."""
PROBE = "Whole embedding, told the labels"
"""A logistic regression on the training cells: what could be separated."""
PLACES = {
    "validation": "Validation cells",
    "test": "Test cells",
    "held out": f"{HELD_TYPE} cells, never trained on",
}
PARTS = ("train", "validation", "test", "held out")


@dataclass(frozen=True)
class Came:
    """What came out of one backbone."""

    rows: pd.DataFrame
    """Of this backbone."""
    sets: Sets

    @classmethod
    def of(cls, rows: pd.DataFrame, name: str) -> "Came":
        """From the deposit."""
        genes = rows[rows["arm"] == "genes"]
        both = (frozenset(genes.loc[genes["quantity"] == of, "of"]) for of in ("panel", "hallmark"))
        return cls(rows[rows["backbone"] == name], Sets(*both))

    def values(self, arm: str, quantity: str) -> pd.Series:
        """Values of one arm by what they are of."""
        own = self.rows[(self.rows["arm"] == arm) & (self.rows["quantity"] == quantity)]
        return own.set_index("of")["value"].astype(float)

    def value(self, arm: str, quantity: str, of: str = "") -> float:
        """One value; NaN where there is none."""
        return float(self.values(arm, quantity).get(of, np.nan))

    def ranked(self, arm: str) -> list[str]:
        """The first genes of an arm."""
        return list(self.values(arm, "score").index)

    @property
    def major(self) -> list[str]:
        """Types with enough test cells."""
        return list(self.values("cells", "major").index)

    def concept(self, arm: str) -> list[Mark]:
        """Marks of the concept of an arm."""
        return concept_marks(self.values(arm, "auroc").to_dict(), self.major)

    def genes(self, arm: str) -> list[Mark]:
        """Marks of the ranking of an arm, and of its sets where these were computed."""
        made = gene_marks(self.ranked(arm), self.value(arm, "set auroc", "panel"), self.sets)
        nes = self.values(arm, "nes").dropna()
        return [*made, set_mark(nes)] if len(nes) else made

    def marks(self) -> list[Mark]:
        """All marks of section 9 for the autoencoder, and the one that another concept must miss."""
        other = self.values("unrelated", "label").index[0]
        auroc = self.value("unrelated", "set auroc", "panel")
        last = unrelated_mark(self.ranked("unrelated"), auroc, self.sets, other)
        return [*self.concept("sae"), *self.genes("sae"), last]


def all_of(rows: pd.DataFrame) -> dict[str, Came]:
    """Every backbone of the deposit."""
    return {name: Came.of(rows, name) for name in BACKBONES}


def class_of(gene: str, sets: Sets) -> str:
    """What a gene is to the control."""
    if gene in sets.panel:
        return "Panel"
    return "Hallmark set only" if gene in sets.hallmark else "Other"
