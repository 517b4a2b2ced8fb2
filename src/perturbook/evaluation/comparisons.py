"""Every method against one: paired differences with intervals, tests, and the family that they belong to."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from perturbook.errors import ConfigError
from perturbook.evaluation.blocks import block_of
from perturbook.evaluation.bundle import CEILINGS
from perturbook.evaluation.intervals import bootstrap_difference
from perturbook.evaluation.paired_tests import hodges_lehmann, signed_rank, smallest_p
from perturbook.evaluation.ranksum import benjamini_hochberg

TIED = 1e-4
"""Scores this near, relative to those above 1, are tied for the test: bundles round that much. Our choice."""
BOTH = "AB"
"""Mode of a predictor that is the same in the zero-shot modes A and B."""


def comparisons(
    scores: pd.DataFrame,
    metrics: str | Sequence[str],
    against: str | Mapping[str, str],
    *,
    n: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare every method with one, over the conditions where both are defined; one call is one family of tests.

    Seeds are averaged within a condition first. The interval resamples what conditions share (`blocks.block_of`); the
    naive one resamples conditions as if they shared nothing. The units of the test are perturbations, each the mean of
    its doses and contexts, or conditions where all share one perturbation; doubles that share a gene count as
    independent there, so read the interval first.

    Args:
        scores: long table of `score`.
        metrics: keys of metrics; all of them, of all methods, make the family.
        against: the method subtracted, or one per metric, such as its best floor.
        n: resamples.
        seed: decides the resamples.

    Returns:
        One row per (metric, method, mode): against, against_mode, difference (method minus against, in the unit of
        the metric), low, high, interval, naive_low, naive_high, hodges_lehmann, p, smallest_p, q (Benjamini-Hochberg
        over the rows that have a p), family (how many those are), n_units, n_defined, n_total. Bounds are NaN below
        10 conditions or 5 blocks. The duplicates are no methods and have no row.

    Raises:
        ConfigError: a metric is not scored, or `against` has no score of it.

    Source: metrics.md sections 1.7 and 8.
    """
    rows = []
    for metric in [metrics] if isinstance(metrics, str) else metrics:
        floor = against if isinstance(against, str) else against[metric]
        values, conditions = _wide(scores, metric)
        if floor not in {method for method, _ in values}:
            raise ConfigError(f"{floor!r} has no score of {metric!r} to compare with.")
        for first in values:
            for second in _rivals(first, floor, list(values)):
                names = dict(zip(("method", "mode", "against", "against_mode"), first + second, strict=True))
                made = _compare(values[first].to_numpy(), values[second].to_numpy(), conditions, n, seed)
                rows.append({"metric": metric, **names, **made})
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(q=benjamini_hochberg(table["p"]), family=int(table["p"].notna().sum()))


COLUMNS = [
    *("metric", "method", "mode", "against", "against_mode", "difference", "low", "high", "interval"),
    *("naive_low", "naive_high", "hodges_lehmann", "p", "smallest_p", "q", "family"),
    *("n_units", "n_defined", "n_total"),
]


def _wide(scores: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Values, conditions x (method, mode), seeds averaged; and the labels of the conditions in the same order."""
    rows = scores[scores["metric"] == metric]
    if rows.empty:
        raise ConfigError(f"{metric!r} is not scored. Scored: {', '.join(dict.fromkeys(scores['metric']))}.")
    values = rows.groupby(["condition", "method", "mode"], observed=True)["value"].mean()
    values = values.unstack(["method", "mode"])
    order = pd.MultiIndex.from_frame(rows[["method", "mode"]].drop_duplicates())
    labels = rows.drop_duplicates("condition").set_index("condition").loc[values.index]
    return values[order], labels


def _rivals(first: tuple[str, str], floor: str, columns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Columns of `floor` that `first` meets: those of its own mode, else those that hold in it."""
    if first[0] in (floor, *CEILINGS):
        return []
    mine = [column for column in columns if column[0] == floor]
    same = [column for column in mine if column[1] == first[1]]
    return same or [column for column in mine if {first[1], column[1]} & {"", BOTH}]


def _compare(
    first: np.ndarray, second: np.ndarray, conditions: pd.DataFrame, n: int, seed: int
) -> dict[str, float]:
    i = bootstrap_difference(first, second, n=n, seed=seed, block=block_of(conditions))
    naive = bootstrap_difference(first, second, n=n, seed=seed)
    names = conditions["perturbation"].to_numpy(str)
    apart = first - second
    apart[np.abs(apart) <= TIED * np.maximum(1, np.abs(second))] = 0.0  # NaN stays NaN
    units = pd.Series(apart).groupby(names if len(set(names)) > 1 else np.arange(len(names))).mean()
    units = units.dropna().to_numpy()
    return {
        "difference": i.mean,
        "low": i.low,
        "high": i.high,
        "interval": i.kind,
        "naive_low": naive.low,
        "naive_high": naive.high,
        "hodges_lehmann": hodges_lehmann(units),
        "p": signed_rank(units),
        "smallest_p": smallest_p(units),
        "n_units": len(units),
        "n_defined": i.n_defined,
        "n_total": i.n_total,
    }
