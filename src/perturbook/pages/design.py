"""`Design`: what a setting page asks. Data, setting and options, refused at once where they do not fit together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import data, splits
from perturbook.errors import ConfigError, InputError
from perturbook.models import MODELS
from perturbook.splits import Split
from perturbook.splits.unseen_drug import N_FOLDS

CONTEXT_SETTINGS = ("zero_shot_context", "few_shot_context")


@dataclass(frozen=True)
class Design:
    """What a setting page asks: data, setting and its options. Refuses impossible combinations when built."""

    page: str
    """Page id, which names the bundle."""
    data: str
    """Registry name, or path of an .h5ad in canonical columns."""
    setting: str
    """Key of `SETTINGS`."""
    models: Sequence[str]
    """Keys of `MODELS`."""
    seed: int = 0
    """Seed of split, halvings and models."""
    held_out: Sequence[str] = ()
    """Contexts to hold out one by one, or drugs; all contexts in turn, or a drawn fold, when empty."""
    k: int = 0
    """Support size of the few-shot setting; 0 elsewhere."""
    modes: Sequence[str] = ()
    """Zero-shot modes; empty elsewhere."""
    fold: int = 0
    """Fold of the unseen-drug setting."""
    scored_pairs: int = 0
    """Pairs of context and perturbation scored per fold, drawn by the seed, with all their doses; 0 scores all."""
    size: str = ""
    """Size of a simulated screen, "default" or "small"; empty for real cells."""

    def __post_init__(self):
        """Raise ConfigError for the first impossible combination, InputError where there is no such file."""
        takes = splits.SETTINGS[self.setting].takes
        self._refuse_lists()
        if negative := [name for name in ("seed", "k", "fold", "scored_pairs") if getattr(self, name) < 0]:
            raise ConfigError(f"{negative[0]}={getattr(self, negative[0])} must not be negative.")
        for option, wanted in (("k", "k"), ("modes", "mode"), ("fold", "fold")):
            if getattr(self, option) and wanted not in takes:
                raise ConfigError(
                    f"{option}={getattr(self, option)!r} has no meaning in {self.setting}, which takes {list(takes) or 'no option'}."
                )
        if "mode" in takes and (not self.modes or set(self.modes) - {"A", "B"}):
            raise ConfigError(f"modes={list(self.modes)} must name A, B or both for {self.setting}.")
        if "k" in takes and not self.k:
            raise ConfigError(f"k=0 leaves {self.setting} without support; give k, or use zero_shot_context.")
        self._refuse_held_out()
        self._refuse_data()

    def _refuse_lists(self) -> None:
        for name in ("models", "held_out", "modes"):
            given = list(getattr(self, name))
            if twice := sorted({one for one in given if given.count(one) > 1}):
                raise ConfigError(f"{name} names {', '.join(twice)} twice.")
        if not self.models:
            raise ConfigError(f"models is empty; name at least one of {', '.join(sorted(MODELS))}.")
        for name in self.models:
            MODELS[name]

    def _refuse_held_out(self) -> None:
        if self.held_out and self.setting not in (*CONTEXT_SETTINGS, "unseen_drug"):
            raise ConfigError(
                f"held_out has no meaning in {self.setting} on a page; it draws what it holds out."
            )
        if self.held_out and self.fold:
            raise ConfigError(f"fold={self.fold} has no meaning beside held_out, which names the drugs.")
        if self.fold >= N_FOLDS:
            raise ConfigError(f"fold={self.fold} must lie in 0..{N_FOLDS - 1}.")

    def _refuse_data(self) -> None:
        own = self.data.endswith(".h5ad")
        if own and not Path(self.data).is_file():
            raise InputError(f"data={self.data!r}: there is no such file.")
        if not own and not data.DATASETS[self.data].cells:
            raise ConfigError(f"{self.data} holds no cells and cannot carry a setting.")
        if self.size and (own or not data.DATASETS[self.data].synthetic):
            raise ConfigError(f"size={self.size!r} has no meaning for {self.data}, which is not simulated.")

    def load(self) -> AnnData:
        """Load and check the cells, `(cells, genes)`."""
        return data.load(self.data, **({"size": self.size} if self.size else {}))

    def splits(self, adata: AnnData) -> dict[str, list[Split]]:
        """Folds per mode; one mode "" outside the zero-shot setting. The folds of a mode test different conditions."""
        takes = splits.SETTINGS[self.setting].takes
        given: dict[str, Any] = {"k": self.k} if "k" in takes else {}
        if "fold" in takes:
            given |= {"fold": self.fold, "held_out": list(self.held_out) or None}
        folds: list[dict] = [given]
        if self.setting in CONTEXT_SETTINGS:
            treated = adata.obs.loc[~adata.obs["is_control"].astype(bool), "context"].astype(str)
            folds = [
                {**given, "held_out": context} for context in list(self.held_out) or sorted(treated.unique())
            ]
        modes = list(self.modes) or [""]
        return {
            mode: [
                self._restrict(
                    adata, splits.split(adata, self.setting, self.seed, **one, mode=mode or None), i
                )
                for i, one in enumerate(folds)
            ]
            for mode in modes
        }

    def _restrict(self, adata: AnnData, split: Split, fold: int) -> Split:
        """Keep `scored_pairs` pairs of the test, drawn by the seed; the others stay held out and are not scored."""

        def pairs(labels: pd.DataFrame) -> np.ndarray:
            return (labels["context"].astype(str) + "|" + labels["perturbation"].astype(str)).to_numpy()

        of_condition = pairs(split.conditions)
        every = np.unique(of_condition)
        if not 0 < self.scored_pairs < len(every):
            return split
        kept = np.random.default_rng([self.seed, fold, 3]).permutation(every)[: self.scored_pairs]
        conditions = split.conditions[np.isin(of_condition, kept)]
        test = split.test[np.isin(pairs(adata.obs.loc[split.test]), kept)]
        asked = adata.obs_names[adata.obs["context"].isin(conditions["context"]).to_numpy()].to_numpy(str)
        shown = {part: np.intersect1d(getattr(split, part), asked) for part in ("query", "reference")}
        return replace(split, conditions=conditions, test=test, **shown)
