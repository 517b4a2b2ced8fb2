"""`score(bundle)`: the one function that turns stored predictions into the numbers of the book."""

from pathlib import Path

import numpy as np
import pandas as pd

from perturbook.errors import ConfigError
from perturbook.evaluation.blocks import block_of
from perturbook.evaluation.bundle import CEILING, INTERPOLATED, Bundle, read_bundle
from perturbook.evaluation.duplicate import duplicate_scores, interpolated_scores, whole_view, within_error
from perturbook.evaluation.intervals import bootstrap_difference, bootstrap_mean
from perturbook.evaluation.metric import METRICS, Metric, key_on
from perturbook.evaluation.predicted import Predicted
from perturbook.evaluation.truth import Truth
from perturbook.evaluation.view import Options, View, view

MIN_CELLS = {"log_intensity": 1}
"""Measured cells below which a condition is undefined, per `value_kind`, 5 elsewhere; a bulk profile is many cells.
Source: scdca.md section 6; bulk profiles are our choice."""
UNSPLIT = "no layer mean_split: predictions made without the reference controls"
ABSENT = "the predictor gives no value here"
SPREAD = 0.5
COLLAPSED = "generated cells vary less than half as much as measured ones, so that nearly every gene differs"
FEW = 10  # below this many conditions every value is shown, metrics.md section 8
LABELS = ["context", "perturbation", "dose_um", "stratum", "fold", "n_true"]


def score(
    bundle: Bundle | str | Path, metrics: list[str] | None = None, *, options: Options | None = None
) -> pd.DataFrame:
    """Score every prediction of a bundle, and the two duplicates, on every condition.

    Args:
        bundle: a `Bundle`, or the folder of one.
        metrics: keys of `METRICS`; all when None.
        options: where gene lists come from, and whether perturbed genes are left out.

    Returns:
        Long table, one row per (method, mode, condition, metric): value (NaN where undefined), status ("ok",
        "undefined" or "not meaningful"), reason, within_se, k (listed genes, effective genes or conditions compared, NaN
        for the whole panel), n_true, n_pred, scale, reference, de_source, drop_targets, clipped, panel_hash and the
        labels of the condition.

    Raises:
        ConfigError: an unknown metric. InputError, ShapeError: see `read_bundle`.

    Source: metrics.md section 1, requirement 5.
    """
    from perturbook import __version__

    bundle = bundle if isinstance(bundle, Bundle) else read_bundle(Path(bundle))
    truth, options = bundle.truth, options or Options()
    keys = [key_on(key, len(truth.genes)) for key in metrics or METRICS]
    entries = {key: METRICS[key] for key in keys}
    least = MIN_CELLS.get(truth.facts.get("value_kind"), 5)
    frames = [_scored(truth, model, entries, options, least) for model in bundle.predictions]
    whole = whole_view(truth, options)
    for name, values in (
        (CEILING, duplicate_scores(truth, keys, options)),
        (INTERPOLATED, interpolated_scores(truth, keys, options)),
    ):
        n_pred = truth.obs["n_cells"].to_numpy() // 2
        rows = [
            _row(entry, whole, values[key], entry.undefined, least, n_pred=n_pred)
            for key, entry in entries.items()
        ]
        frames.append(_frame(truth, name, "", rows))
    facts = {k: truth.facts.get(k, "") for k in ("page", "setting", "seed", "scale", "panel_hash")}
    return pd.concat(frames, ignore_index=True).assign(**facts, code_version=__version__)


def _scored(
    truth: Truth, model: Predicted, entries: dict[str, Metric], options: Options, least: int
) -> pd.DataFrame:
    """Rows of one prediction."""
    if model.mean is None:
        v, nothing = whole_view(truth, options), np.full(len(truth.obs), np.nan)
        why = f"not applicable: {model.reason}"
        rows = [_row(entry, v, nothing, why, least, n_pred=0) for entry in entries.values()]
        return _frame(truth, model.name, model.mode, rows)
    v, rows = view(truth, model, options), []
    absent = np.isnan(v.yhat).all(axis=1)
    half_absent = absent | np.isnan(v.yhat_split).all(axis=1)
    for key, entry in entries.items():
        missing = half_absent if entry.splits_controls else absent
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.where(missing, np.nan, entry.compute(v))
            within = within_error(v, key) if len(truth.obs) < FEW else np.nan
        unsplit = entry.splits_controls and model.mean_split is None
        why = UNSPLIT if unsplit else np.where(missing, ABSENT, entry.undefined)
        why = np.where(absent, ABSENT, why)
        rows.append(_row(entry, v, values, why, least, n_pred=v.n_predicted, within_se=within))
    return _frame(truth, model.name, model.mode, rows)


def _row(
    entry: Metric, v: View, values: np.ndarray, why: str | np.ndarray, least: int, *, n_pred, within_se=np.nan
) -> dict:
    """One metric of one method on all conditions: values with status and reason, and what the metric looked at."""
    few = (v.obs["n_cells"] < least).to_numpy()
    collapsed = (v.spread < SPREAD) & ~np.isnan(values) if entry.needs_spread else np.zeros(len(few), bool)
    values = np.where(few | collapsed, np.nan, values)
    undefined = np.isnan(values)
    reason = np.where(undefined, np.where(collapsed, COLLAPSED, why), "")
    return {
        "metric": entry.key,
        "value": values,
        "status": np.where(undefined, np.where(collapsed & ~few, "not meaningful", "undefined"), "ok"),
        "reason": np.where(few, f"fewer than {least} measured cells", reason),
        "within_se": np.where(undefined, np.nan, within_se),
        "k": np.nan if entry.k is None else entry.k(v),
        "n_pred": n_pred,
        "reference": entry.reference,
        "de_source": v.options.de_source if entry.of_list else "",
        "drop_targets": (v.dropped >= 0).any(axis=1) & entry.drops_targets,
        "clipped": entry.clipped,
    }


def _frame(truth: Truth, method: str, mode: str, rows: list[dict]) -> pd.DataFrame:
    """Long table of one method: metric by metric, condition by condition."""
    obs, n = truth.obs, len(truth.obs)
    labels = obs.rename(columns={"n_cells": "n_true"}).rename_axis("condition").reset_index()
    if "stratum" not in labels:
        labels["stratum"] = ""
    table = pd.concat([labels[["condition", *LABELS]]] * len(rows), ignore_index=True)
    made = {name: np.concatenate([np.broadcast_to(row[name], n) for row in rows]) for name in rows[0]}
    return table.assign(method=method, mode=mode, **made)


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
        i = bootstrap_mean(group["value"].to_numpy(), n=n, block=block_of(group))
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
    table = rows.pivot(index="condition", columns="method", values="value")
    block = block_of(rows.drop_duplicates("condition").set_index("condition").loc[table.index])
    i = bootstrap_difference(table[first].to_numpy(), table[second].to_numpy(), n=n, block=block)
    return pd.Series(
        {"mean": i.mean, "low": i.low, "high": i.high, "n_defined": i.n_defined, "n_total": i.n_total},
        dtype=object,
    )


def highest_dose(scores: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Rows at the highest dose, and that dose in micromolar; all rows and NaN where doses are no series.

    At low doses little happens and scores say how much noise there is, so an average over doses is no headline. Doses
    are a series where they vary and at least a quarter of the perturbations have the highest one.

    Source: scdca.md section 9.1; the quarter is our choice, as for the floors.
    """
    doses, names = scores["dose_um"], scores["perturbation"]
    top = doses == doses.max()
    if doses.nunique() < 2 or 4 * names[top].nunique() < names.nunique():
        return scores, np.nan
    return scores[top], float(doses.max())


def wide(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per (method, mode, condition), one column per metric, NaN where undefined."""
    table = scores.pivot(index=["method", "mode", "condition"], columns="metric", values="value")
    return table[list(dict.fromkeys(scores["metric"]))].sort_index()


def to_csv(scores: pd.DataFrame, path: Path) -> None:
    """Write `wide(scores)` with eight digits, the word undefined where a value is; compressed where `path` ends in .gz."""
    compression = {"method": "gzip", "mtime": 0} if Path(path).suffix == ".gz" else None
    wide(scores).to_csv(path, float_format="%.8g", na_rep="undefined", compression=compression)


def from_csv(path: Path) -> pd.DataFrame:
    """Read what `to_csv` wrote; index (method, mode, condition), NaN where undefined."""
    table = pd.read_csv(path, na_values=["undefined"], keep_default_na=False)
    return table.set_index(["method", "mode", "condition"])
