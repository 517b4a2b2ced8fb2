"""What a generalization setting is: how it divides the cells, and which cells nothing fitted may contain."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.molecules import inchikey14
from perturbook.data.schema import condition_keys
from perturbook.errors import ConfigError
from perturbook.registry import Registry
from perturbook.splits.partition import Split

N_FOLDS = 5  # scdca.md section 5, folds over drugs; over pairs too, our choice


def structures(table: pd.DataFrame) -> pd.Series:
    """Identity of each molecule of a perturbation table by name: the first InChIKey block of its parent.

    Read from column `inchikey14`, else computed from `smiles`; names with neither are left out.

    Raises:
        InputError: a SMILES cannot be read.

    Source: scdca.md section 3.
    """
    columns = table.reindex(columns=["inchikey14", "smiles"]).astype(object).fillna("")
    found = {
        name: key or inchikey14(smiles, name) for name, key, smiles in columns.itertuples() if key or smiles
    }
    return pd.Series(found, dtype=object)


@dataclass(frozen=True)
class Screen:
    """A data set as the settings see it: labels alone, in an order that does not depend on the file's."""

    obs: pd.DataFrame
    """obs of the data set sorted by cell name; columns context, perturbation, dose_um, is_control, key, structure."""

    @classmethod
    def of(cls, adata: AnnData) -> "Screen":
        """Read the labels of a canonical AnnData; `structure` joins names of one parent molecule."""
        obs = adata.obs[["context", "perturbation", "dose_um", "is_control"]].copy().sort_index()
        obs[["context", "perturbation"]] = obs[["context", "perturbation"]].astype(str)
        obs["key"] = condition_keys(obs)
        known = structures(adata.uns.get("perturbations", pd.DataFrame()))
        obs["structure"] = obs["perturbation"].map(known).fillna(obs["perturbation"])
        return cls(obs)

    @property
    def treated(self) -> np.ndarray:
        """Mask of treated cells, shape `(cells,)`."""
        return ~self.obs["is_control"].to_numpy(bool)

    def levels(self, column: str) -> list[str]:
        """Sorted labels of the treated cells in `column`."""
        return sorted(self.obs.loc[self.treated, column].unique())

    def known(self, column: str, labels: str | list[str]) -> list[str]:
        """Return `labels` as a list; raises ConfigError naming each that no treated cell carries."""
        labels = [labels] if isinstance(labels, str) else list(labels)
        if missing := sorted(set(labels) - set(self.levels(column))):
            raise ConfigError(
                f"held_out names {missing}, which no treated cell has as {column}. Present: {', '.join(self.levels(column))}."
            )
        return labels


@dataclass(frozen=True)
class Drawn:
    """What a setting's function decides; masks over `Screen.obs`, shape `(cells,)`."""

    test: np.ndarray
    """Treated cells to score against."""
    valid: np.ndarray
    """Treated cells for validation."""
    withheld: np.ndarray
    """Cells that are in no part, such as controls that mode B hides from training."""
    held_out: tuple[str, ...]
    """Labels held out."""
    options: dict
    """What was drawn, for the record."""
    strata: dict[str, str] | None = None
    """Stratum of each tested perturbation, such as "seen 1"; None where a setting has none."""


@dataclass(frozen=True)
class Setting:
    """One generalization setting."""

    name: str
    """Registry name."""
    title: str
    """What is new at test time, in a few words."""
    question: str
    """The question a reader asks of it."""
    takes: tuple[str, ...]
    """Options of `split` it understands: k, held_out, mode, fold, context."""
    draw: Callable[..., Drawn]
    """`draw(screen, rng, **options) -> Drawn`."""
    forbidden: Callable[[Screen, Split], np.ndarray]
    """Cells that nothing fitted may contain, told from the labels alone and not from how the split was drawn."""
    shares_conditions: Callable[[Split], bool] = lambda split: False
    """True where training and test hold different cells of one condition by definition."""
    of_genes: bool = False
    """True where the perturbations must be genes; such a setting takes `context` and concerns one context at a time."""


SETTINGS: Registry = Registry("setting")


def setting(
    name: str, *, title: str, question: str, takes: tuple[str, ...], forbidden: Callable, **more
) -> Callable:
    """Decorator: enter the `draw` function below it into `SETTINGS` as `name`."""

    def enter(draw: Callable[..., Drawn]) -> Callable[..., Drawn]:
        SETTINGS.add(name, Setting(name, title, question, takes, draw, forbidden, **more))
        return draw

    return enter
