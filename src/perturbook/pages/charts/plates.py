"""Chart of the L1000 chapter: the same predictors under four ways to score."""

import altair as alt
import pandas as pd

from perturbook.pages.plates import KEYS, METHODS, VIEWS, means, named
from perturbook.palette import CATEGORY


def views_chart(scores: pd.DataFrame, resamples: int) -> alt.LayerChart:
    """Mean correlation per predictor, one group of points per view and key."""
    rows = means(scores, resamples)
    rows = rows[rows["n_defined"] > 0]
    rows = rows.assign(
        predictor=rows["method"].map({method: named(method) for method in METHODS}),
        way=rows["view"] + ", " + rows["metric"].map(KEYS),
    )
    ways = [f"{view}, {word}" for view in VIEWS.values() for word in KEYS.values()]
    base = alt.Chart(rows[["predictor", "way", "mean", "low", "high", "n_defined", "n_total"]])
    look = {"title": "Scored", "legend": alt.Legend(orient="top", columns=2, labelLimit=260)}
    y = alt.Y("predictor:N", title=None, sort=[named(method) for method in METHODS])
    offset = alt.YOffset("way:N", sort=ways)
    color = alt.Color("way:N", scale=alt.Scale(domain=ways, range=CATEGORY), **look)
    shape = alt.Shape("way:N", scale=alt.Scale(domain=ways), **look)
    tips = ["predictor", "way", *(alt.Tooltip(f"{f}:Q", format=".3f") for f in ("mean", "low", "high"))]
    tips += [alt.Tooltip("n_defined:Q", title="conditions defined")]
    bars = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2)
        .encode(x="low:Q", x2="high:Q", y=y, yOffset=offset, color=color)
    )
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("mean:Q", title="Correlation with the measured change (no unit)"),
        y=y,
        yOffset=offset,
        color=color,
        shape=shape,
        tooltip=tips,
    )
    return alt.layer(bars, points).properties(
        width="container",
        height=64 * rows["predictor"].nunique(),
        description="Mean correlation of predicted and measured change for every predictor, scored per profile and per condition, with shared "
        "and with split control wells, with 95 % bootstrap intervals over drugs.",
    )
