"""Chart of the sampling page: error of generated cells against their variance."""

import altair as alt
import pandas as pd

from perturbook.evaluation import METRICS
from perturbook.pages.sampling import ERROR, RATIO, curve
from perturbook.palette import GREY, ROLE, ROLE_SHAPE


def sampling_chart(rows: pd.DataFrame) -> alt.LayerChart:
    """One point per predictor, a curve for whoever knows the mean; a menu picks the page."""
    pages = list(dict.fromkeys(rows["page"]))
    pick = alt.param(name="page", value=pages[-1], bind=alt.binding_select(options=pages, name="Page: "))
    kinds = [kind for kind in ROLE_SHAPE if kind in set(rows["role"])]
    look = {"title": "Kind of predictor", "legend": alt.Legend(orient="top")}
    x = alt.X(f"{RATIO}:Q", title="Variance ratio (generated over measured; 1 is right)")
    y = alt.Y(f"{ERROR}:Q", title=METRICS[ERROR].title, scale=alt.Scale(zero=False))
    line = (
        alt.Chart(curve(rows))
        .transform_filter(alt.datum.page == pick)
        .mark_line(strokeDash=[6, 4], color=GREY)
        .encode(x=alt.X("ratio:Q"), y=alt.Y("error:Q"), tooltip=[alt.Tooltip("error:Q", format=".3f")])
    )
    points = (
        alt.Chart(rows[["page", "predictor", "role", ERROR, RATIO]])
        .transform_filter(alt.datum.page == pick)
        .mark_point(filled=True, size=90, opacity=0.9)
        .encode(
            x=x,
            y=y,
            color=alt.Color("role:N", scale=alt.Scale(domain=kinds, range=[ROLE[k] for k in kinds]), **look),
            shape=alt.Shape(
                "role:N", scale=alt.Scale(domain=kinds, range=[ROLE_SHAPE[k] for k in kinds]), **look
            ),
            tooltip=[
                "predictor",
                alt.Tooltip(f"{ERROR}:Q", format=".3f"),
                alt.Tooltip(f"{RATIO}:Q", format=".3f"),
            ],
        )
    )
    return (
        alt.layer(line, points)
        .add_params(pick)
        .properties(
            width="container",
            height=340,
            description="Relative error over cells of every predictor against the variance of its cells; the dashed curve is a "
            "predictor that knows the mean and has the variance on the axis: the less variance, the smaller the error.",
        )
    )
