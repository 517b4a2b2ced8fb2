"""What a metric is: one row of the registry, with all that a reader must know beside its value."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from perturbook.errors import ConfigError
from perturbook.evaluation.view import View
from perturbook.registry import Registry


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
    k: Callable[[View], np.ndarray | float] | None = None
    """What a value rests on where that is not the whole panel: listed genes, effective genes, or conditions compared."""
    of_list: bool = False
    """True where a gene list decides; `Options.de_source` says where it comes from."""
    drops_targets: bool = False
    """True where genes that the perturbation changes directly are left out, see `Options.drop_targets`."""
    needs_cells: bool = False
    """True where the value says something about generated cells only."""
    needs_spread: bool = False
    """True where the value means nothing unless generated cells vary at least half as much as measured ones."""
    splits_controls: bool = False
    """True where truth and prediction are referenced to different halves of the controls."""
    of_mean: bool = False
    """True where a condition's value depends on no measurement of treated cells but its own `View.y`."""
    first_halving: bool = False
    """True where the split-half duplicate is told by halving 0 alone."""

    def __post_init__(self):
        """Raise ConfigError for an unknown direction."""
        if self.better not in ("up", "down", "to 1"):
            raise ConfigError(f"metric {self.key!r}: better={self.better!r} must be up, down or to 1.")

    @property
    def clipped(self) -> bool:
        """True for the columns that replace negative values by 0, to compare with literature that does."""
        return self.key.endswith("_clipped")


class _Metrics(Registry):
    """The registry; `l2_heg300` is found as well, `l2_heg1000` being the entry that stands for its family."""

    def __missing__(self, name: str) -> Metric:
        family = re.fullmatch(r"(.+_heg)([1-9]\d*)", name)
        if not family or (base := f"{family[1]}{HEG}") not in self:
            return super().__missing__(name)
        entry, k = self[base], int(family[2])
        title = entry.title.replace(f"{HEG:,}", f"{k:,}")
        return replace(entry, key=name, title=title, compute=partial(entry.compute, k=k), k=lambda v: k)


HEG = 1_000
"""Genes highest in control that the registered keys `*_heg1000` look at. Source: metrics.md section 3.3."""
METRICS: Registry = _Metrics("metric")


def key_on(key: str, n_genes: int) -> str:
    """The key under which a panel of `n_genes` has a metric: `l2_heg1000` is `l2_heg300` on one of 300 genes.

    Distances over different numbers of genes cannot be compared, so they never share a key.

    Source: metrics.md section 3.3.
    """
    family = re.fullmatch(r"(.+_heg)([1-9]\d*)", key)
    return f"{family[1]}{n_genes}" if family and int(family[2]) > n_genes else key


def metric(key: str, **fields) -> Callable:
    """Decorator: enter the function below it into `METRICS` as `key`; `fields` are those of `Metric`."""

    def enter(compute: Callable[[View], np.ndarray]) -> Callable[[View], np.ndarray]:
        METRICS.add(key, Metric(key=key, compute=compute, **fields))
        return compute

    return enter
