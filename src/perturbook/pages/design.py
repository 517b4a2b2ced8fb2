"""`Design`: what a setting page asks. Data, setting and options, refused at once where they do not fit together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import data, splits
from perturbook.data.own import Columns
from perturbook.data.schema import condition_keys
from perturbook.errors import ConfigError, InputError
from perturbook.models import MODELS
from perturbook.splits import Split
from perturbook.splits.unseen_drug import N_FOLDS

CONTEXT_SETTINGS = ("zero_shot_context", "few_shot_context")
ALL_FOLDS = -1
PAIR = " | "
"""Between the context and the perturbation of a held-out pair, as in `Split.held_out`."""
COLUMNS = {
    "perturbation_column": "perturbation",
    "context_column": "context",
    "dose_column": "dose",
    "batch_column": "batch",
    "control_label": "control",
    "kind": "kind",
    "dose_unit": "dose_unit",
}
"""Parameters that say what a file's columns hold, and the field of `data.own.Columns` that each one fills."""


@dataclass(frozen=True)
class Design:
    """What a setting page asks: data, setting and its options. Refuses impossible combinations when built."""

    page: str
    """Page id, which names the bundle."""
    data: str
    """Registry name, or path of an .h5ad or .zarr file."""
    setting: str
    """Key of `SETTINGS`."""
    models: Sequence[str]
    """Keys of `MODELS`."""
    seed: int = 0
    """Seed of split, halvings and models."""
    held_out: Sequence[str] = ()
    """Contexts to hold out one by one, drugs, genes, or pairs "context | drug"; what the setting draws when empty."""
    k: int = 0
    """Support size of the few-shot setting; 0 elsewhere."""
    k_sweep: Sequence[int] = ()
    """Support sizes to compare on the same conditions, instead of `k`."""
    modes: Sequence[str] = ()
    """Zero-shot modes; empty elsewhere."""
    fold: int = 0
    """Fold of a setting of five folds; -1 tests all of them in turn."""
    scored_pairs: int = 0
    """Pairs of context and perturbation scored per fold, drawn by the seed, with all their doses; 0 scores all."""
    size: str = ""
    """Size of a simulated screen, "default" or "small"; empty for real cells."""
    perturbation_column: str = ""
    """Column of a reader's own file that names the perturbation."""
    context_column: str = ""
    """Column that names the context; for a registry entry, another column to be taken as context."""
    dose_column: str = ""
    """Column of the dose."""
    batch_column: str = ""
    """Column of the plate or batch."""
    control_label: str = ""
    """What untreated cells are called in the perturbation column."""
    kind: str = ""
    """What the perturbations are: drug, CRISPRa, CRISPRi or cytokine."""
    dose_unit: str = ""
    """Unit of the dose column: nM, uM or mM."""
    stored: Sequence[str] = ()
    """Those of `models` whose predictions are read from the deposit, because they train longer than a page may take."""

    def __post_init__(self):
        """Raise ConfigError for the first impossible combination, InputError where there is no such file."""
        takes = splits.SETTINGS[self.setting].takes
        self._refuse_lists()
        if negative := [name for name in ("seed", "k", "scored_pairs") if getattr(self, name) < 0]:
            raise ConfigError(f"{negative[0]}={getattr(self, negative[0])} must not be negative.")
        for option, wanted in (("k", "k"), ("k_sweep", "k"), ("modes", "mode"), ("fold", "fold")):
            if getattr(self, option) and wanted not in takes:
                raise ConfigError(
                    f"{option}={getattr(self, option)!r} has no meaning in {self.setting}, which takes {list(takes) or 'no option'}."
                )
        if "mode" in takes and (not self.modes or set(self.modes) - {"A", "B"}):
            raise ConfigError(f"modes={list(self.modes)} must name A, B or both for {self.setting}.")
        if "k" in takes and bool(self.k) == bool(self.k_sweep):
            raise ConfigError(
                f"{self.setting} needs a support: give k from 1, or k_sweep, not both; without any, use zero_shot_context."
            )
        self._refuse_held_out(takes)
        self._refuse_data()

    def _refuse_lists(self) -> None:
        for name in ("models", "stored", "held_out", "modes", "k_sweep"):
            given = list(getattr(self, name))
            if twice := sorted({str(one) for one in given if given.count(one) > 1}):
                raise ConfigError(f"{name} names {', '.join(twice)} twice.")
        if not self.models:
            raise ConfigError(f"models is empty; name at least one of {', '.join(sorted(MODELS))}.")
        for name in self.models:
            MODELS[name]
        if other := sorted(set(self.stored) - set(self.models)):
            raise ConfigError(f"stored names {', '.join(other)}, which models does not.")
        if below := [k for k in self.k_sweep if k < 0]:
            raise ConfigError(f"k_sweep has {below[0]}, which must not be negative.")

    def _refuse_held_out(self, takes: Sequence[str]) -> None:
        if self.held_out and "held_out" not in takes:
            raise ConfigError(f"held_out has no meaning in {self.setting}; it draws what it holds out.")
        if self.held_out and self.fold:
            raise ConfigError(
                f"fold={self.fold} has no meaning beside held_out, which says what to hold out."
            )
        if not ALL_FOLDS <= self.fold < N_FOLDS:
            raise ConfigError(
                f"fold={self.fold} must lie in 0..{N_FOLDS - 1}, or be {ALL_FOLDS} for all in turn."
            )
        if self.setting == "unseen_combination" and (
            wrong := [one for one in self.held_out if one.count(PAIR) != 1]
        ):
            raise ConfigError(f'held_out names {wrong[0]!r}; write a pair as "context{PAIR}perturbation".')

    def _refuse_data(self) -> None:
        own = self.data not in data.DATASETS and self.data.endswith((".h5ad", ".zarr"))
        if own and not Path(self.data).exists():
            raise InputError(f"data={self.data!r}: there is no such file.")
        if not own and not data.DATASETS[self.data].cells:
            raise ConfigError(f"{self.data} holds no cells and cannot carry a setting.")
        if self.size and (own or not data.DATASETS[self.data].synthetic):
            raise ConfigError(f"size={self.size!r} has no meaning for {self.data}, which is not simulated.")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Design":
        """The design that parameters of a page describe; other names among `values` are ignored."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})

    @property
    def columns(self) -> Columns | None:
        """What the columns of the data hold; None where they are canonical."""
        return columns_of(vars(self))

    def load(self) -> AnnData:
        """Load and check the cells, `(cells, genes)`."""
        return data.load(self.data, columns=self.columns, **({"size": self.size} if self.size else {}))

    def splits(self, adata: AnnData) -> dict[str, list[Split]]:
        """Folds per mode, or per k of a sweep; one mode "" elsewhere. The folds of a mode test different conditions."""
        if self.k_sweep:
            asked = [split.conditions for split in self._folds(adata, k=max(self.k_sweep))]
            return {
                f"k={k}": [
                    only(adata, split, conditions)
                    for split, conditions in zip(self._whole(adata, k=k), asked, strict=True)
                ]
                for k in self.k_sweep
            }
        return {mode: self._folds(adata, mode=mode or None) for mode in list(self.modes) or [""]}

    def _whole(self, adata: AnnData, **given: Any) -> list[Split]:
        """The splits of one mode or one k, all their conditions asked about."""
        return [splits.split(adata, self.setting, self.seed, **one, **given) for one in self._asked(adata)]

    def _folds(self, adata: AnnData, **given: Any) -> list[Split]:
        """`_whole`, restricted to the pairs that are scored."""
        given = ({"k": self.k} if self.k else {}) | given
        return [self._restrict(adata, split, i) for i, split in enumerate(self._whole(adata, **given))]

    def _asked(self, adata: AnnData) -> list[dict[str, Any]]:
        """What each fold holds out, as options of `splits.split`."""
        takes, held_out = splits.SETTINGS[self.setting].takes, list(self.held_out)
        contexts = sorted(
            adata.obs.loc[~adata.obs["is_control"].astype(bool), "context"].astype(str).unique()
        )
        if self.setting in CONTEXT_SETTINGS:
            return [{"held_out": context} for context in held_out or contexts]
        if self.setting == "unseen_combination":
            held_out = [tuple(pair.split(PAIR)) for pair in held_out]
        given: dict[str, Any] = {"held_out": held_out} if held_out else {}
        if "context" in takes:  # the context of a gene screen is a screen of its own
            return [{**given, "context": context} for context in contexts]
        if "fold" in takes and not held_out:
            return [{"fold": fold} for fold in (range(N_FOLDS) if self.fold == ALL_FOLDS else [self.fold])]
        return [given]

    def _restrict(self, adata: AnnData, split: Split, fold: int) -> Split:
        """Keep `scored_pairs` pairs of the test, drawn by the seed; the others stay held out and are not scored."""
        of_condition = _pairs(split.conditions)
        every = np.unique(of_condition)
        if not 0 < self.scored_pairs < len(every):
            return split
        kept = np.random.default_rng([self.seed, fold, 3]).permutation(every)[: self.scored_pairs]
        return only(adata, split, split.conditions[np.isin(of_condition, kept)])


def _pairs(labels: pd.DataFrame) -> np.ndarray:
    return (labels["context"].astype(str) + "|" + labels["perturbation"].astype(str)).to_numpy()


def only(adata: AnnData, split: Split, conditions: pd.DataFrame) -> Split:
    """The split asked about `conditions` alone, a part of its own; the others stay held out and are not scored."""
    test = split.test[np.isin(condition_keys(adata.obs.loc[split.test]), conditions.index)]
    asked = adata.obs_names[adata.obs["context"].isin(conditions["context"]).to_numpy()].to_numpy(str)
    shown = {part: np.intersect1d(getattr(split, part), asked) for part in ("query", "reference")}
    return replace(split, conditions=split.conditions.loc[conditions.index], test=test, **shown)


def columns_of(values: Mapping[str, Any]) -> Columns | None:
    """`Columns` from the parameters of a page in `COLUMNS`; None where none is given. Other names are ignored."""
    given = {field: values[name] for name, field in COLUMNS.items() if values.get(name)}
    return Columns(**given) if given else None
