"""Chart of a sweep of the identifiability study."""

import altair as alt
import pandas as pd

from perturbook.pages.identifiability import ARMS, SCORES
from perturbook.pages.identifiability_sweeps import SWEEPS, means
from perturbook.pages.identifiability_tables import TITLES
from perturbook.palette import BLUE, VERMILLION

COLOURS = {ARMS["twins"].title: BLUE, ARMS["random"].title: VERMILLION}


def sweep_chart(rows: pd.DataFrame, name: str) -> alt.LayerChart:
    """Scores against the value that is swept: a point per world, a line through the means; a menu picks the score."""
    sweep = SWEEPS[name]
    mine = rows[rows["sweep"] == name]
    tall = mine.melt(["arm", "value", "seed"], list(SCORES), "score", "found")
    tall["score"] = tall["score"].map(TITLES)
    pick = alt.param(
        name="score",
        value=TITLES["r2_iota"],
        bind=alt.binding_select(options=list(TITLES.values()), name="Score: "),
    )
    arms = list(dict.fromkeys(mine["arm"]))
    look = {"title": "Arm", "legend": alt.Legend(orient="top") if len(arms) > 1 else None}
    scale = alt.Scale(domain=arms, range=[COLOURS[arm] for arm in arms])
    spread = max(sweep.values) / min(sweep.values)
    x = alt.X(
        "value:Q",
        title=sweep.axis,
        scale=alt.Scale(type="log") if spread > 4 else alt.Scale(zero=False),
        axis=alt.Axis(values=list(sweep.values), format="~g"),
    )
    y = alt.Y("found:Q", title="Score on test cells (of the menu)", scale=alt.Scale(domainMax=1))
    shown = alt.Chart(tall).transform_filter(alt.datum.score == pick)
    points = shown.mark_point(filled=True, size=60, opacity=0.7).encode(
        x=x,
        y=y,
        color=alt.Color("arm:N", scale=scale, **look),
        shape=alt.Shape("arm:N", scale=alt.Scale(domain=arms), **look),
        tooltip=[
            "arm",
            alt.Tooltip("value:Q"),
            alt.Tooltip("seed:Q", title="world"),
            alt.Tooltip("found:Q", format=".3f", title="score"),
        ],
    )
    lines = shown.mark_line().encode(
        x=x, y=alt.Y("mean(found):Q"), color=alt.Color("arm:N", scale=scale, **look)
    )
    ends = "; ".join(
        f"{arm}: from {part['r2_iota'].iloc[0]:.2f} to {part['r2_iota'].iloc[-1]:.2f}"
        for arm, part in means(rows, name).groupby("arm", sort=False)
    )
    return (
        alt.layer(lines, points)
        .add_params(pick)
        .properties(
            width="container",
            height=260,
            description=f"{sweep.title} swept on simulated worlds: a point per world, a line through the means, a menu picks "
            f"the score. R², invariant, from the least to the greatest value: {ends}.",
        )
    )
