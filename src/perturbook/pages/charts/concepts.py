"""Charts of the page "From embedding to concepts": what happens to each way of training pass by pass, and firing rates."""

import altair as alt

from perturbook.pages.concepts_live import Live
from perturbook.palette import CATEGORY

MEASURES = {
    "ev": "Explained variance, held-out cells",
    "dead_train": "Share of latents counted dead, dead_train",
}


def passes_chart(live: Live, what: str) -> alt.Chart:
    """Explained variance, or the share of dead latents, of every way after each pass; a menu picks which."""
    rows = live.log.melt(["way", "pass"], list(MEASURES), "measure", "value")
    rows["measure"] = rows["measure"].map(MEASURES)
    order, options = list(dict.fromkeys(rows["way"])), list(MEASURES.values())
    pick = alt.param(
        name="measure", value=options[0], bind=alt.binding_select(options=options, name="Measure: ")
    )
    look = {"title": "Way", "legend": alt.Legend(orient="top", columns=2, labelLimit=280)}
    ends = "; ".join(f"{way}: {part['ev'].iloc[-1]:.2f}" for way, part in live.log.groupby("way", sort=False))
    return (
        alt.Chart(rows.round(4))
        .transform_filter(alt.datum.measure == pick)
        .mark_line(point=True)
        .encode(
            x=alt.X("pass:Q", title="Pass over the training cells", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y(
                "value:Q",
                title="Value of the measure (of the menu)",
                scale=alt.Scale(domain=[0, 1], clamp=True),
            ),
            color=alt.Color("way:N", scale=alt.Scale(domain=order, range=CATEGORY), **look),
            shape=alt.Shape("way:N", scale=alt.Scale(domain=order), **look),
            tooltip=["way", "pass", alt.Tooltip("value:Q", format=".3f")],
        )
        .add_params(pick)
        .properties(
            width="container",
            height=280,
            description=f"Explained variance of held-out cells, or the share of latents counted as dead, after each pass, {what}; one "
            f"line per way of training. Explained variance after the last pass: {ends}.",
        )
    )
