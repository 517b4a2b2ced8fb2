"""The one protocol of every predictor: `fit(train)`, then `predict(query)`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data import pseudobulk
from perturbook.data.pseudobulk import Profiles
from perturbook.errors import InputError, LeakError, NotApplicable, ShapeError
from perturbook.registry import Registry

MODELS: Registry = Registry("model")


@dataclass(frozen=True)
class Training:
    """What a model may learn from: training and validation cells, controls included."""

    cells: AnnData
    """Canonical AnnData `(cells, genes)` without any simulated truth."""
    valid: frozenset[str] = frozenset()
    """obs names of the validation cells; models that choose nothing by validation learn from them too."""

    @cached_property
    def profiles(self) -> Profiles:
        """Mean and variance per condition, `(conditions, genes)`."""
        return pseudobulk(self.cells)

    @cached_property
    def controls(self) -> pd.DataFrame:
        """Mean control profile per context, `(contexts, genes)`, log1p of counts per 10k."""
        keep = self.profiles.obs["is_control"].to_numpy()
        contexts = self.profiles.obs.loc[keep, "context"].astype(str)
        return pd.DataFrame(self.profiles.mean[keep], index=contexts, columns=self.profiles.genes)

    @cached_property
    def effects(self) -> pd.DataFrame:
        """Treated mean minus control mean of the same context; rows (context, perturbation, dose_um), columns genes."""
        keep = ~self.profiles.obs["is_control"].to_numpy()
        obs = self.profiles.obs.loc[keep, ["context", "perturbation", "dose_um"]]
        delta = self.profiles.mean[keep] - self.controls.loc[obs["context"].astype(str)].to_numpy()
        index = pd.MultiIndex.from_frame(obs.astype({"context": str, "perturbation": str}))
        return pd.DataFrame(delta, index=index, columns=self.profiles.genes)

    @cached_property
    def perturbations(self) -> pd.DataFrame:
        """Table of perturbations (SMILES, structure) by name; empty where the data set has none."""
        return self.cells.uns.get("perturbations", pd.DataFrame())


@dataclass(frozen=True)
class Query:
    """What a model is shown when asked: control cells, the conditions to predict, and facts about the drugs."""

    controls: AnnData
    """Control cells of the contexts asked about, `(cells, genes)`."""
    conditions: pd.DataFrame
    """Index condition key; columns context, perturbation, dose_um."""
    truth: pd.DataFrame | None = None
    """Noise-free means of simulated conditions, for the oracle alone; None for every model."""
    batches: pd.DataFrame | None = None
    """On which plates or batches (columns, labels of `obs["replicate"]`) the profiles of each condition (index, its key)
    lie, as shares that sum to 1; part of the design, known before any measurement. None where there are no batches."""

    def __post_init__(self):
        """Raise LeakError for treated cells, InputError for a context without control cells."""
        obs = self.controls.obs
        if treated := obs.index[~obs["is_control"].to_numpy(bool)].tolist():
            raise LeakError(
                f"{len(treated)} treated cells, such as {treated[0]}, were given as controls; a model is shown controls only."
            )
        if bare := sorted(set(self.conditions["context"].astype(str)) - set(obs["context"].astype(str))):
            raise InputError(
                f"No control cells are given for {', '.join(bare)}; add controls of each context asked about."
            )

    @cached_property
    def mean_by_context(self) -> pd.DataFrame:
        """Mean control profile per context, `(contexts, genes)`."""
        return Training(self.controls).controls

    @cached_property
    def mu0(self) -> np.ndarray:
        """Control mean of each condition's context, `(conditions, genes)`."""
        return self.mean_by_context.loc[self.conditions["context"].astype(str)].to_numpy()

    def group(self, *columns: str) -> list[tuple]:
        """Labels of each condition in `columns`, in the order of `conditions`."""
        return list(self.conditions[list(columns)].itertuples(index=False, name=None))


@dataclass(frozen=True)
class Prediction:
    """Predicted profiles, in the order of `Query.conditions`."""

    mean: np.ndarray
    """`(conditions, genes)`, log1p of counts per 10k; a row of NaN says that this condition is not defined."""
    cells: Sequence[np.ndarray] | None = None
    """Generated cells per condition, each `(cells, genes)`; None for a predictor of means."""
    variance: np.ndarray | None = None
    """Unbiased variance per gene, `(conditions, genes)`; None means the predictor has none."""

    def __post_init__(self):
        """Raise ShapeError where the parts do not fit, NotApplicable where no condition is defined."""
        if self.mean.ndim != 2:
            raise ShapeError(f"mean has shape {self.mean.shape}, expected (conditions, genes).")
        if self.variance is not None and self.variance.shape != self.mean.shape:
            raise ShapeError(f"variance {self.variance.shape} and mean {self.mean.shape} differ.")
        if self.cells is not None and len(self.cells) != len(self.mean):
            raise ShapeError(f"cells are given for {len(self.cells)} conditions, means for {len(self.mean)}.")
        if wrong := [one.shape for one in self.cells or () if one.shape[1:] != self.mean.shape[1:]]:
            raise ShapeError(f"cells of shape {wrong[0]} do not fit means of {self.mean.shape[1]} genes.")
        undefined = np.isnan(self.mean).all(axis=1)
        if wrong := int((~np.isfinite(self.mean[~undefined])).sum()):
            raise ShapeError(f"{wrong} predicted values are not finite, in rows that are not NaN throughout.")
        if undefined.all() and len(self.mean):
            raise NotApplicable("none of the conditions asked about is defined")

    @classmethod
    def from_cells(cls, cells: Sequence[np.ndarray]) -> "Prediction":
        """Summarise generated cells by their mean and unbiased variance, which is NaN for a single cell."""
        mean = np.stack([one.mean(axis=0) for one in cells])
        alone = np.full(mean.shape[1], np.nan)
        variance = [one.var(axis=0, ddof=1) if len(one) > 1 else alone for one in cells]
        return cls(mean, cells, np.stack(variance))


class Model(Protocol):
    """A predictor. `fit` sees a `Training`, `predict` a `Query`, and nothing else reaches it."""

    title: str
    """Name in tables and charts."""
    role: str
    """"floor", "opponent", "oracle" or "model"."""
    needs: tuple[str, ...] = ()
    """Registry entries it reads besides the cells it is shown."""
    fits_once: bool = False
    """Whether it is fitted once, without the reference controls, because fitting takes long."""

    def fit(self, train: Training) -> "Model":
        """Learn from the training cells and return itself; raises NotApplicable where it is not defined."""

    def predict(self, query: Query) -> Prediction:
        """Predict the conditions of `query`; raises NotApplicable where it is not defined."""


def model(name: str, *, title: str, role: str) -> Callable[[type], type]:
    """Decorator: enter a model class into `MODELS`; an instance is made by calling the class without arguments."""

    def enter(made: type) -> type:
        made.name, made.title, made.role = name, title, role
        made.needs = getattr(made, "needs", ())
        return MODELS.add(name, made)

    return enter
