"""Charts of the identifiability page: scores of every world by arm, training curves, singular values."""

import altair as alt
import pandas as pd

from perturbook.pages.identifiability import SCORES
from perturbook.pages.identifiability_tables import PAPER, TITLES
from perturbook.palette import BLUE, CATEGORY, GREY, VERMILLION


def worlds_chart(stored: pd.DataFrame) -> alt.LayerChart:
    """One point per world and arm, a bar at the mean, and the paper's two rows as dashed lines; a menu picks the score."""
    rows = stored.melt(["arm", "seed"], list(SCORES), "score", "value")
    rows["score"] = rows["score"].map(TITLES)
    order = list(dict.fromkeys(stored["arm"]))
    pick = alt.param(
        name="score",
        value=TITLES["r2_iota"],
        bind=alt.binding_select(options=list(TITLES.values()), name="Score: "),
    )
    y = alt.Y("arm:N", title=None, sort=order, axis=alt.Axis(labelLimit=240))
    x = alt.X("value:Q", title="Score on test cells (of the menu)", scale=alt.Scale(zero=True))
    shown = alt.Chart(rows).transform_filter(alt.datum.score == pick)
    points = shown.mark_point(filled=True, size=80, opacity=0.8, color=BLUE).encode(
        x=x, y=y, tooltip=["arm", alt.Tooltip("seed:Q", title="world"), alt.Tooltip("value:Q", format=".3f")]
    )
    means = shown.mark_tick(thickness=3, size=26, color=VERMILLION).encode(
        x=alt.X("mean(value):Q"),
        y=y,
        tooltip=["arm", alt.Tooltip("mean(value):Q", format=".3f", title="mean")],
    )
    paper = pd.DataFrame(
        [
            {"score": TITLES[key], "row": f"Reported: {arm}", "value": mean}
            for arm, scores in PAPER.items()
            for key, (mean, _) in scores.items()
        ]
    )
    lines = (
        alt.Chart(paper)
        .transform_filter(alt.datum.score == pick)
        .mark_rule(strokeDash=[5, 4], strokeWidth=2, color=GREY)
        .encode(x="value:Q", tooltip=["row", alt.Tooltip("value:Q", format=".2f")])
    )
    return (
        alt.layer(lines, points, means)
        .add_params(pick)
        .properties(
            width="container",
            height=42 * len(order),
            description="Scores of the arms of the identifiability study on simulated worlds: one point per world, a bar at "
            "the mean, dashed lines at the two rows the paper reports. "
            + "; ".join(
                f"{arm}: mean {mine['r2_iota'].mean():.2f}" for arm, mine in stored.groupby("arm", sort=False)
            )
            + " (R², invariant).",
        )
    )


TERMS = {
    "reconstruction": "Reconstruction, squared error",
    "kl_nu": "KL of responsive latents (nats)",
    "kl_iota": "KL of invariant latents (nats)",
    "alignment": "Squared distance to the partner",
    "alignment gap": "Squared gap of the means",
    "variance ratio, predicted": "Variance of predictions over that of cells",
}
"""Term of a history -> words."""


def history_chart(histories: pd.DataFrame) -> alt.Chart:
    """Loss terms and diagnostics of the arms over training steps; a menu picks the term."""
    rows = histories[histories["term"].isin(TERMS)].assign(term=lambda part: part["term"].map(TERMS))
    order = list(dict.fromkeys(rows["arm"]))
    names = [name for name in TERMS.values() if (rows["term"] == name).any()]
    pick = alt.param(name="term", value=names[0], bind=alt.binding_select(options=names, name="Term: "))
    look = {"title": "Arm", "legend": alt.Legend(orient="top", columns=2, labelLimit=260)}
    return (
        alt.Chart(rows[["arm", "step", "term", "value"]])
        .transform_filter(alt.datum.term == pick)
        .mark_line(point=True)
        .encode(
            x=alt.X("step:Q", title="Training step"),
            y=alt.Y("value:Q", title="Value of the term (of the menu)"),
            color=alt.Color("arm:N", scale=alt.Scale(domain=order, range=CATEGORY), **look),
            shape=alt.Shape("arm:N", scale=alt.Scale(domain=order), **look),
            tooltip=["arm", "step", alt.Tooltip("value:Q", format=".4f")],
        )
        .add_params(pick)
        .properties(
            width="container",
            height=300,
            description="Terms of the loss of every arm over training on one simulated world, unweighted; a menu picks the term.",
        )
    )


def singular_chart(values: pd.DataFrame) -> alt.Chart:
    """Singular values of the matrix of assumption (ii), of the world and of every fitted model, on a log scale."""
    order = list(dict.fromkeys(values["of"]))
    look = {"title": "Matrix of", "legend": alt.Legend(orient="top", columns=2, labelLimit=260)}
    return (
        alt.Chart(values)
        .mark_line(point=True)
        .encode(
            x=alt.X("rank:O", title="Rank of the singular value", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title="Singular value (log scale)", scale=alt.Scale(type="log")),
            color=alt.Color("of:N", scale=alt.Scale(domain=order, range=CATEGORY), **look),
            shape=alt.Shape("of:N", scale=alt.Scale(domain=order), **look),
            tooltip=["of", "rank", alt.Tooltip("value:Q", format=".3g")],
        )
        .properties(
            width="container",
            height=260,
            description="Singular values of the matrix of the theorem's second assumption on one simulated world: of the true "
            "mechanisms and of those that each arm has learned.",
        )
    )
