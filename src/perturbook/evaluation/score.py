"""`score(bundle)`: the one function that turns stored predictions into the numbers of the book."""

from pathlib import Path

import numpy as np
import pandas as pd

from perturbook.errors import ConfigError
from perturbook.evaluation.bundle import CEILING, Bundle, read_bundle
from perturbook.evaluation.duplicate import duplicate_scores, within_error
from perturbook.evaluation.intervals import bootstrap_difference, bootstrap_mean
from perturbook.evaluation.metric import METRICS, view

MIN_CELLS = 5  # scdca.md section 6
UNSPLIT = "no layer mean_split: predictions made without the reference controls"
FEW = 10  # below this many conditions every value is shown, metrics.md section 8
LABELS = ["context", "perturbation", "dose_um", "fold", "n_true"]


def score(bundle: Bundle | str | Path, metrics: list[str] | None = None) -> pd.DataFrame:
    """Score every prediction of a bundle, and the split-half duplicate, on every condition.

    Args:
        bundle: a `Bundle`, or the folder of one.
        metrics: keys of `METRICS`; all when None.

    Returns:
        Long table, one row per (method, mode, condition, metric): value (NaN where undefined), status, reason,
        within_se, n_true, n_pred, scale, reference, de_source, panel_hash and the labels of the condition.

    Raises:
        ConfigError: an unknown metric. InputError, ShapeError: see `read_bundle`.

    Source: metrics.md section 1, requirement 5.
    """
    from perturbook import __version__

    bundle = bundle if isinstance(bundle, Bundle) else read_bundle(Path(bundle))
    truth, keys = bundle.truth, list(metrics or METRICS)
    entries = {key: METRICS[key] for key in keys}
    obs = truth.obs.rename(columns={"n_cells": "n_true"})
    few = (obs["n_true"] < MIN_CELLS).to_numpy()
    frames = []

    def add(
        method: str, mode: str, key: str, values: np.ndarray, reason, *, n_pred=0, within_se=np.nan
    ) -> None:
        values = np.where(few, np.nan, values)
        undefined = np.isnan(values)
        frame = obs[LABELS].assign(method=method, mode=mode, metric=key, value=values, n_pred=n_pred)
        frame["within_se"] = np.where(undefined, np.nan, within_se)
        frame["status"] = np.where(undefined, "undefined", "ok")
        frame["reason"] = np.where(
            few, f"fewer than {MIN_CELLS} measured cells", np.where(undefined, reason, "")
        )
        frames.append(frame.assign(reference=entries[key].reference, de_source=entries[key].de_source))

    for model in bundle.predictions:
        if model.mean is None:
            for key in keys:
                add(model.name, model.mode, key, np.full(len(obs), np.nan), f"not applicable: {model.reason}")
            continue
        v = view(truth, model)
        absent = np.isnan(v.yhat).all(axis=1)
        for key, entry in entries.items():
            with np.errstate(invalid="ignore", divide="ignore"):
                values = np.where(absent, np.nan, entry.compute(v))
                within = within_error(truth, v, key) if len(obs) < FEW else np.nan
            unsplit = entry.splits_controls and model.mean_split is None
            why = np.where(
                absent, "the predictor gives no value here", UNSPLIT if unsplit else entry.undefined
            )
            add(model.name, model.mode, key, values, why, n_pred=v.n_predicted, within_se=within)
    for key, values in duplicate_scores(truth, keys).items():
        add(CEILING, "", key, values, entries[key].undefined, n_pred=obs["n_true"] // 2)
    facts = {k: truth.facts.get(k, "") for k in ("page", "setting", "seed", "scale", "panel_hash")}
    table = pd.concat(frames).rename_axis("condition").reset_index()
    return table.assign(**facts, clipped=False, code_version=__version__)


def _block(rows: pd.DataFrame) -> np.ndarray | None:
    """Resample drugs, with all their doses and contexts, where a page has several."""
    return rows["perturbation"].to_numpy(str) if rows["perturbation"].nunique() > 1 else None


def summarise(scores: pd.DataFrame, by: list[str] | None = None, *, n: int = 10_000) -> pd.DataFrame:
    """Average each method's values over conditions, with a bootstrap interval.

    Args:
        scores: table of `score`.
        by: further columns to keep apart, such as dose_um.
        n: resamples.

    Returns:
        One row per (method, mode, metric, *by): mean, median, low, high, n_defined, n_total, interval.

    Source: metrics.md sections 1.3 and 8.
    """
    keys = ["method", "mode", "metric", *(by or [])]
    rows = []
    for labels, group in scores.groupby(keys, dropna=False, sort=False, observed=True):
        group = group.sort_values("condition")
        i = bootstrap_mean(group["value"].to_numpy(), n=n, block=_block(group))
        defined = group["value"].dropna()
        median = defined.median() if len(defined) else np.nan
        rows.append((*labels, i.mean, median, i.low, i.high, i.n_defined, i.n_total, i.kind))
    return pd.DataFrame(
        rows, columns=[*keys, "mean", "median", "low", "high", "n_defined", "n_total", "interval"]
    )


def compare(scores: pd.DataFrame, metric: str, first: str, second: str, *, n: int = 10_000) -> pd.Series:
    """Paired difference of two methods over the conditions where both are defined, with its interval.

    Args:
        scores: table of `score`, one mode.
        metric: key of the metric.
        first: method.
        second: method subtracted from it.
        n: resamples.

    Returns:
        mean, low, high, n_defined, n_total.

    Raises:
        ConfigError: a method has no rows of the metric, or rows in two modes.

    Source: metrics.md sections 1.7 and 8.
    """
    rows = scores[(scores["metric"] == metric) & scores["method"].isin([first, second])]
    for method in (first, second):
        if (modes := rows.loc[rows["method"] == method, "mode"].nunique()) != 1:
            raise ConfigError(f"{method!r} has rows of {metric!r} in {modes} modes; give the rows of one.")
    table = rows.pivot(index=["condition", "perturbation"], columns="method", values="value").reset_index()
    i = bootstrap_difference(table[first].to_numpy(), table[second].to_numpy(), n=n, block=_block(table))
    return pd.Series(
        {"mean": i.mean, "low": i.low, "high": i.high, "n_defined": i.n_defined, "n_total": i.n_total},
        dtype=object,
    )


def highest_dose(scores: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Rows at the highest dose, and that dose in micromolar; all rows and NaN where doses do not vary.

    At low doses little happens and scores say how much noise there is, so an average over doses is no headline.

    Source: scdca.md section 9.1.
    """
    doses = scores["dose_um"]
    if doses.nunique() < 2:
        return scores, np.nan
    return scores[doses == doses.max()], float(doses.max())


def wide(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per (method, mode, condition), one column per metric, NaN where undefined."""
    table = scores.pivot(index=["method", "mode", "condition"], columns="metric", values="value")
    return table[[key for key in METRICS if key in table]].sort_index()


def to_csv(scores: pd.DataFrame, path: Path) -> None:
    """Write `wide(scores)` with eight digits, the word undefined where a value is."""
    wide(scores).to_csv(path, float_format="%.8g", na_rep="undefined")


def from_csv(path: Path) -> pd.DataFrame:
    """Read what `to_csv` wrote; index (method, mode, condition), NaN where undefined."""
    table = pd.read_csv(path, na_values=["undefined"], keep_default_na=False)
    return table.set_index(["method", "mode", "condition"])
