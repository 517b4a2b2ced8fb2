"""How much room a metric has on these data: scores placed between a negative control and perfection."""

import numpy as np
import pandas as pd

from perturbook.evaluation.bundle import INTERPOLATED
from perturbook.evaluation.ceiling import scaled
from perturbook.evaluation.metric import METRICS

NEGATIVE = "mean_train"
"""Method that knows no condition: the mean of training. Source: metrics.md section 6.1."""
RESOLVABLE = 0.1
"""Below it a metric cannot separate signal from noise on these data. Source: metrics.md section 6.1."""
NOT_RESOLVABLE = "not resolvable"


def dynamic_range(scores: pd.DataFrame) -> pd.DataFrame:
    """Place every value between the negative control and the metric's ideal: rows `drf_<metric>`, never clipped.

    (value - negative) / (perfect - negative) per condition, the negative control being the page's `mean_train` in the
    same zero-shot mode. For the duplicates this is the metric's own dynamic range.

    Args:
        scores: table of `score`.

    Returns:
        The same rows with metric, value, status and reason of the fraction; NaN where the value or the negative
        control is undefined, the metric has no ideal, or both agree to 1e-12.

    Source: metrics.md section 6.1 (Miller et al., who clip it).
    """
    found = pd.concat([_against(scores, one) for one in scores["mode"].unique()], ignore_index=True)
    found["within_se"] = np.nan
    return found.assign(metric="drf_" + found["metric"])


def _against(scores: pd.DataFrame, mode: str) -> pd.DataFrame:
    """Rows of one mode; a duplicate, which has none, meets the negative control of the first mode there is."""
    rows = scores[scores["mode"] == mode].copy()
    control = scores[scores["method"] == NEGATIVE]
    shared = [one for one in control["mode"].unique() if not mode or not one or set(mode) & set(one)]
    control = control[control["mode"] == (shared[0] if shared else None)]
    negative = control.set_index(["metric", "condition"])["value"]
    rows["negative"] = negative.reindex(pd.MultiIndex.from_frame(rows[["metric", "condition"]])).to_numpy()
    best = rows["metric"].map({key: METRICS[key].best for key in rows["metric"].unique()}).astype(float)
    value = scaled(rows["value"], rows["negative"], best)
    undefined = np.isnan(value)
    why = np.select(
        [rows["value"].isna(), best.isna(), rows["negative"].isna()],
        [rows["reason"], "the metric has no ideal value", "the negative control has no value here"],
        "the negative control is perfect",
    )
    rows["reason"], rows["value"] = np.where(undefined, why, ""), value
    rows["status"] = np.where(undefined, np.where(rows["status"] == "ok", "undefined", rows["status"]), "ok")
    return rows.drop(columns="negative")


def own_range(scores: pd.DataFrame, positive: str = INTERPOLATED) -> pd.DataFrame:
    """A metric's own dynamic range: that of a positive control, to be stated before models are ranked by the metric.

    Args:
        scores: table of `score`.
        positive: method that stands for the best the data allow.

    Returns:
        One row per metric: mean and median over the defined conditions, n_defined, n_total, and label, "not resolvable"
        where the mean is below 0.1 and empty elsewhere. A condition whose negative control is nearly perfect weighs
        much in the mean, because its room is small: read it beside the median.

    Source: metrics.md section 6.1.
    """
    wanted = scores["method"].isin([positive, NEGATIVE])
    rows = dynamic_range(scores[wanted])
    rows = rows[rows["method"] == positive]
    values = rows["value"].groupby(rows["metric"].str.removeprefix("drf_"), sort=False)
    about = {"mean": values.mean(), "median": values.median()}
    table = pd.DataFrame({**about, "n_defined": values.count(), "n_total": values.size()})
    return table.assign(label=np.where(table["mean"] < RESOLVABLE, NOT_RESOLVABLE, "")).reset_index()
