"""What a metric is, and the two views it is computed from: the truth as referenced, and one model's prediction."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from perturbook.errors import ConfigError
from perturbook.evaluation.bundle import Predicted
from perturbook.evaluation.truth import Truth
from perturbook.registry import Registry

METRICS: Registry = Registry("metric")


@dataclass(frozen=True)
class View:
    """One truth beside one prediction, float64, `(conditions, genes)` unless said otherwise."""

    truth: Truth
    y: np.ndarray
    """Measured means."""
    y_half: np.ndarray
    """Measured means of half B, for gene lists chosen on half A."""
    mu0: np.ndarray
    """Control means of each condition's context, all controls."""
    mu0_shown: np.ndarray
    """Control means of the half that split predictions were made from."""
    mu0_kept: np.ndarray
    """Control means of the half that no model saw; the reference of the truth."""
    yhat: np.ndarray
    """Predicted means, made with all controls visible."""
    yhat_split: np.ndarray
    """Predicted means, made from the shown half of the controls."""
    variance: np.ndarray
    """Predicted variances; zeros for a predictor of means."""
    n_predicted: np.ndarray
    """Generated cells per condition; infinity for a predictor of means, `(conditions,)`."""
    cells: list[np.ndarray]
    """PCA coordinates of measured cells, each `(cells, components)`."""
    cells_hat: list[np.ndarray]
    """PCA coordinates of generated cells; one point for a predictor of means."""

    @property
    def obs(self) -> pd.DataFrame:
        """Labels of the conditions."""
        return self.truth.obs

    @cached_property
    def centroid(self) -> np.ndarray:
        """Training centroid of each condition's fold."""
        return np.asarray(self.truth.centroid, dtype=float)[self.obs["fold"].to_numpy()]

    @cached_property
    def groups(self) -> np.ndarray:
        """Conditions told apart by retrieval: same fold, context and dose, `(conditions,)`."""
        return (
            self.obs.groupby(["fold", "context", "dose_um"], dropna=False, observed=True).ngroup().to_numpy()
        )

    def deg(self, k: int, source: str) -> np.ndarray:
        """Positions of the top `k` genes, `(conditions, k)`; -1 throughout where the panel has fewer."""
        positions = self.truth.deg[source]
        return positions[:, :k] if positions.shape[1] >= k else np.full((len(positions), k), -1)


def _present(coordinates: np.ndarray) -> list[np.ndarray]:
    return [one[~np.isnan(one).any(axis=1)].astype(float) for one in coordinates]


def view(truth: Truth, model: Predicted) -> View:
    """Set a prediction beside the truth.

    Without `mean_split` the split means are NaN: means made with all controls visible share cells with the reference
    of the truth, so metrics that split the controls have no value for them.
    """
    rows = np.searchsorted(truth.contexts, truth.obs["context"].astype(str).to_numpy())
    control = {
        name: np.asarray(truth.controls[name], dtype=float)[rows] for name in ("mean", "mean_a", "mean_b")
    }
    mean = np.asarray(model.mean, dtype=float)
    split = (
        np.full_like(mean, np.nan) if model.mean_split is None else np.asarray(model.mean_split, dtype=float)
    )
    no_cells = model.variance is None
    n_cells = truth.obs["n_cells"].to_numpy(float)
    half = np.asarray(truth.halves[:, 0], dtype=float)
    y = np.asarray(truth.mean, dtype=float)
    points = truth.project(mean)[:, None, :] if model.coordinates is None else model.coordinates
    return View(
        truth=truth,
        y=y,
        y_half=y - half * other_half(n_cells)[:, None],
        mu0=control["mean"],
        mu0_shown=control["mean_a"],
        mu0_kept=control["mean_b"],
        yhat=mean,
        yhat_split=split,
        variance=np.zeros_like(mean) if no_cells else np.asarray(model.variance, dtype=float),
        n_predicted=np.full(len(mean), np.inf)
        if model.n_cells is None
        else np.asarray(model.n_cells, dtype=float),
        cells=_present(truth.coordinates),
        cells_hat=_present(points),
    )


def other_half(n: np.ndarray) -> np.ndarray:
    """Factor f with mean(B) = mean - f * (mean(A) - mean), for halves of n // 2 and n - n // 2 cells, `(conditions,)`."""
    return (n // 2) / (n - n // 2)


@dataclass(frozen=True)
class Metric:
    """One row of the metric registry."""

    key: str
    """Name in every table."""
    title: str
    """Name for readers."""
    formula: str
    """LaTeX."""
    better: str
    """"up", "down" or "to 1"."""
    best: float | None
    """Value of a perfect prediction; None where cell noise decides."""
    trap: str
    """What it hides or flatters."""
    undefined: str
    """Why a value can be undefined."""
    compute: Callable[[View], np.ndarray]
    """`View -> (conditions,)`, NaN where undefined."""
    reference: str = "none"
    """Profile subtracted from truth and prediction."""
    de_source: str = ""
    """Where a gene list comes from."""
    needs_cells: bool = False
    """True where the value says something about generated cells only."""
    splits_controls: bool = False
    """True where truth and prediction are referenced to different halves of the controls."""
    of_mean: bool = False
    """True where a condition's value depends on no measurement of treated cells but its own `View.y`."""

    def __post_init__(self):
        """Raise ConfigError for an unknown direction."""
        if self.better not in ("up", "down", "to 1"):
            raise ConfigError(f"metric {self.key!r}: better={self.better!r} must be up, down or to 1.")


def metric(key: str, **fields) -> Callable:
    """Decorator: enter the function below it into `METRICS` as `key`; `fields` are those of `Metric`."""

    def enter(compute: Callable[[View], np.ndarray]) -> Callable[[View], np.ndarray]:
        METRICS.add(key, Metric(key=key, compute=compute, **fields))
        return compute

    return enter
