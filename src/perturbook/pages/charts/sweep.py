"""Chart of a sweep page: score against the number of supporting measurements."""

import altair as alt
import pandas as pd

from perturbook.evaluation import METRICS
from perturbook.pages.present import MAIN
from perturbook.pages.present_sweep import CURVES, ceiling, curves
from perturbook.pages.study import Study
from perturbook.palette import CATEGORY, ROLE


def sweep_chart(study: Study, resamples: int) -> alt.LayerChart:
    """Mean score of every predictor against k, with 95 % intervals; the line of the split-half duplicate above."""
    rows = curves(study, resamples)
    titles = {key: METRICS[key].title for key in CURVES}
    ends = {side: rows[end].fillna(rows["mean"]) for side, end in (("bottom", "low"), ("top", "high"))}
    rows = rows.assign(name=rows["metric"].map(titles), **ends)
    names, everyone = list(dict.fromkeys(rows["name"])), list(dict.fromkeys(rows["predictor"]))
    pick = alt.param(
        name="metric",
        value=titles[MAIN] if titles[MAIN] in names else names[0],
        bind=alt.binding_select(options=names, name="Metric: "),
    )
    hover = alt.selection_point(name="line", fields=["predictor"], bind="legend")
    base = alt.Chart(
        rows[["k", "predictor", "name", "mean", "low", "high", "bottom", "top", "n_defined", "n_total"]]
    ).transform_filter(alt.datum.name == pick)
    look = {
        "title": "Predictor (click to single out)",
        "legend": alt.Legend(orient="top", columns=2, labelLimit=260),
    }
    encode = {
        "x": alt.X("k:Q", title="Support k (measured conditions of the new context)"),
        "y": alt.Y("mean:Q", title="Mean score (metric of the menu)", scale=alt.Scale(zero=False)),
        "color": alt.Color("predictor:N", scale=alt.Scale(domain=everyone, range=CATEGORY * 2), **look),
        "opacity": alt.condition(hover, alt.value(1), alt.value(0.15)),
    }
    shape = alt.Shape("predictor:N", scale=alt.Scale(domain=everyone), **look)
    tips = ["predictor", "k", *(alt.Tooltip(f"{f}:Q", format=".3f") for f in ("mean", "low", "high"))]
    tips += [
        alt.Tooltip("n_defined:Q", title="conditions defined"),
        alt.Tooltip("n_total:Q", title="conditions"),
    ]
    lines = base.mark_line().encode(**encode)
    bars = base.mark_rule().encode(**{**encode, "y": alt.Y("bottom:Q"), "y2": alt.Y2("top:Q")})
    points = base.mark_point(filled=True, size=70, opacity=1).encode(**encode, shape=shape, tooltip=tips)
    tops = pd.DataFrame([{"name": titles[key], "ceiling": ceiling(study, key)} for key in CURVES])
    top = (
        alt.Chart(tops.dropna())
        .transform_filter(alt.datum.name == pick)
        .mark_rule(strokeDash=[6, 4], strokeWidth=2, color=ROLE["ceiling"])
        .encode(y="ceiling:Q", tooltip=[alt.Tooltip("ceiling:Q", format=".3f", title="split-half duplicate")])
    )
    return (
        alt.layer(top, bars, lines, points)
        .add_params(pick, hover)
        .properties(
            width="container",
            height=320,
            description="Mean score of every predictor against the number k of supporting measurements in the new context, on the same "
            "conditions for every k, with 95 % bootstrap intervals; the dashed line is the split-half duplicate.",
        )
    )
