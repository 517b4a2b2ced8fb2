"""The deposit of the attribution page, read concept by concept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook import data
from perturbook.errors import DataUnavailable, InputError
from perturbook.pages.concepts_control import DATA, STIMULATION, TYPE, parts
from perturbook.whole import whole_folder

ARMS = {
    "attribution": "Attribution",
    "pre-activation": "Attribution of the pre-activation",
    "gradient": "Gradient",
    "DE": "DE, active against inactive",
    "removal": "Removal instead of swap",
    "expression level": "Expression level",
    "random, mean": "Random, like expression (mean of 20)",
    "random, lowest": "Random, like expression (lowest of 20)",
}
"""Orders of a deletion curve as a reader sees them."""


@dataclass(frozen=True)
class Told:
    """What the deposit holds of one concept."""

    rows: pd.DataFrame
    concept: int

    @classmethod
    def of(cls, rows: pd.DataFrame, concept: int) -> "Told":
        """Raises InputError for a concept that is not deposited."""
        known = list(dict.fromkeys(rows["concept"].astype(int)))
        if concept not in known:
            raise InputError(f"Concept {concept} is not deposited. Deposited: {', '.join(map(str, known))}.")
        return cls(rows[rows["concept"] == concept], concept)

    def table(self, quantity: str) -> pd.DataFrame:
        """Rows of one quantity."""
        return self.rows[self.rows["quantity"] == quantity]

    def value(self, quantity: str, of: str = "", to: str = "") -> float:
        """One value; NaN where there is none."""
        own = self.table(quantity)
        own = own[(own["of"] == of) & (own["to"] == to)]["value"]
        return float(own.iloc[0]) if len(own) else float("nan")

    @property
    def label(self) -> str:
        """What the concept separates best among validation cells."""
        return str(self.table("label")["of"].iloc[0])

    @property
    def name(self) -> str:
        """As a reader sees it."""
        what = "stimulation" if self.label == STIMULATION else f"{self.label} cells"
        return f"Concept {self.concept}, best at {what}"

    @property
    def genes(self) -> pd.DataFrame:
        """First genes of the ranking, one row each."""
        own = self.table("gene")
        wide = own.pivot(index="of", columns="to", values="value")
        return wide.loc[list(dict.fromkeys(own["of"]))]

    @property
    def curves(self) -> pd.DataFrame:
        """Deletion curves: columns arm, genes, left."""
        own = self.table("deletion")
        return pd.DataFrame(
            {"arm": own["of"].map(ARMS), "genes": own["to"].astype(float).astype(int), "left": own["value"]}
        )

    @property
    def areas(self) -> pd.Series:
        """Area of every order, by arm."""
        return self.table("area").set_index("of")["value"]

    @property
    def above(self) -> pd.DataFrame:
        """Shares of tested genes above each cutoff, of the concept and of the pooled controls."""
        own = self.table("above")
        own = own[own["of"].isin(["concept", "controls"])]
        tested = {"concept": self.value("tested"), "controls": self.value("tested", "controls")}
        return pd.DataFrame(
            {
                "of": own["of"],
                "cutoff": own["to"].astype(float),
                "genes": own["value"],
                "share": own["value"] / own["of"].map(tested),
            }
        ).drop_duplicates(["of", "cutoff"])

    @property
    def null(self) -> float:
        """The cutoff of the negative controls."""
        return self.value("null", "all")


def concepts(rows: pd.DataFrame) -> list[Told]:
    """Every deposited concept, in the order of the deposit."""
    return [Told.of(rows, int(one)) for one in dict.fromkeys(rows["concept"])]


def keep(rows: pd.DataFrame, folder: Path) -> None:
    """Write `attributions.csv`: the first genes of every deposited concept, with each number that stands behind them."""
    found = [
        one.genes.rename_axis("gene").reset_index().assign(concept=one.concept) for one in concepts(rows)
    ]
    with whole_folder(folder) as making:
        pd.concat(found).set_index(["concept", "gene"]).to_csv(making / "attributions.csv")


def training_cells() -> pd.DataFrame | None:
    """Labels of the training cells, in the order of the deposit's numbers; None where the cells cannot be had."""
    try:
        obs = data.load(DATA).obs
    except DataUnavailable:
        return None
    return obs.loc[parts(obs) == "train", [TYPE, STIMULATION]]


def pairs(told: Told, cells: pd.DataFrame | None) -> list[dict[str, object]]:
    """One row per prototype: its cell and its counterfactual."""
    codes = told.table("code").set_index("of")["value"]
    differing = told.table("differing").set_index("of")["value"]
    made = []
    for row in told.table("pair").itertuples():
        filled = {"Prototype": _cell(row.of, cells), "Code": f"{codes[row.of]:.3f}"}
        if np.isnan(row.value):
            filled |= {
                "Counterfactual": "no match",
                "Distance": "undefined",
                "Genes that differ": "undefined",
            }
        else:
            filled |= {
                "Counterfactual": _cell(row.to, cells),
                "Distance": f"{row.value:.3f}",
                "Genes that differ": int(differing[row.of]),
            }
        made.append(filled)
    return made


def _cell(number: str, cells: pd.DataFrame | None) -> str:
    at = int(float(number))
    if cells is None:
        return f"training cell {at}"
    one = cells.iloc[at]
    return f"{cells.index[at]} ({one[TYPE]}, {one[STIMULATION]})"
