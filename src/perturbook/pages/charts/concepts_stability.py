"""Charts of the page on stability: matched similarity of every pair of trainings beside chance, and labels carried over."""

import altair as alt
import pandas as pd

from perturbook.pages.concepts_arms import SAE, TITLES
from perturbook.pages.concepts_stability import FROM, KINDS, TO
from perturbook.pages.concepts_stability_shown import agreement
from perturbook.palette import BLUE, GREY, VERMILLION


def agreement_chart(rows: pd.DataFrame, atoms: str = "all") -> alt.LayerChart:
    """A point per pair of trainings, a bar at chance, arms one below the other; a menu picks the comparison."""

    def named(part: pd.DataFrame, data: pd.Series) -> pd.DataFrame:
        between = data.where(data != "", f"{FROM} with {TO}")
        return part.assign(what=part["kind"].map(KINDS) + ": " + between, arm=part["arm"].map(TITLES))

    points = rows[(rows["quantity"] == "mean") & (rows["atoms"] == atoms)]
    split = points["kind"].str.partition(": ")
    points = named(points.assign(kind=split[0]), split[2])
    found = agreement(rows, atoms)
    levels = named(found, found["data"])
    options, order = list(dict.fromkeys(points["what"])), list(dict.fromkeys(points["arm"]))
    pick = alt.param(
        name="what", value=options[0], bind=alt.binding_select(options=options, name="Comparison: ")
    )
    y = alt.Y("arm:N", title="Dictionary", sort=order)
    dots = (
        alt.Chart(points[["what", "arm", "value"]].round(4))
        .transform_filter(alt.datum.what == pick)
        .mark_point(filled=True, size=60, opacity=0.6, color=BLUE)
        .encode(
            x=alt.X("value:Q", title="Mean similarity of matched concepts", scale=alt.Scale(domain=[0, 1])),
            y=y,
            tooltip=["arm", alt.Tooltip("value:Q", format=".3f", title="pair of trainings")],
        )
    )
    ticks = (
        alt.Chart(levels[["what", "arm", "chance"]].round(4))
        .transform_filter(alt.datum.what == pick)
        .mark_tick(thickness=3, size=24, color=VERMILLION)
        .encode(x="chance:Q", y=y, tooltip=["arm", alt.Tooltip("chance:Q", format=".3f", title="chance")])
    )
    first = levels[levels["what"] == options[0]]
    words = "; ".join(
        f"{row.arm} {row.mean_:.2f}" for row in first.rename(columns={"mean": "mean_"}).itertuples()
    )
    return (
        alt.layer(dots, ticks)
        .add_params(pick)
        .properties(
            width="container",
            height=34 * len(order),
            description="Mean similarity of one-to-one matched concepts, a point per pair of trainings and a bar at the chance "
            f"level, for each dictionary; a menu picks the comparison. {options[0]}: {words}.",
        )
    )


def transfer_chart(rows: pd.DataFrame) -> alt.LayerChart:
    """F1 of each cell type of the autoencoder, chosen on one data set or the other, a point per seed, a bar at the base rate."""
    mine = rows[(rows["kind"] == "transfer") & (rows["arm"] == SAE)].copy()
    parts = mine["of"].astype(str).str.partition(", ")
    mine["seed"], mine["type"] = parts[0], parts[2]
    words = {"f1, own": f"chosen on {TO}", "f1, carried": f"chosen on {FROM}, trained there"}
    points = mine[mine["quantity"].isin(words)].assign(chosen=lambda part: part["quantity"].map(words))
    base = mine[mine["quantity"] == "base, carried"]
    domain, order = list(words.values()), sorted(points["type"].unique())
    look = {"title": "Concept", "legend": alt.Legend(orient="top", columns=1)}
    y = alt.Y("type:N", title="Cell type", sort=order)
    dots = (
        alt.Chart(points[["type", "seed", "chosen", "value"]].round(4))
        .mark_point(filled=True, size=60, opacity=0.7)
        .encode(
            x=alt.X("value:Q", title=f"F1 on test cells of {TO}", scale=alt.Scale(domain=[0, 1])),
            y=y,
            yOffset=alt.YOffset("chosen:N", sort=domain),
            color=alt.Color("chosen:N", scale=alt.Scale(domain=domain, range=[BLUE, VERMILLION]), **look),
            shape=alt.Shape("chosen:N", scale=alt.Scale(domain=domain), **look),
            tooltip=["type", "seed", "chosen", alt.Tooltip("value:Q", format=".2f")],
        )
    )
    ticks = (
        alt.Chart(base.groupby("type")["value"].mean().reset_index().round(4))
        .mark_tick(thickness=2, size=24, color=GREY)
        .encode(x="value:Q", y=y, tooltip=["type", alt.Tooltip("value:Q", format=".2f", title="base rate")])
    )
    means = points.groupby("chosen")["value"].mean()
    return alt.layer(dots, ticks).properties(
        width="container",
        height=44 * len(order),
        description="F1 of the autoencoder's best concept for each cell type on test cells, a point per seed, a bar at the base rate: "
        + "; ".join(f"{one}: mean {means[one]:.2f}" for one in domain)
        + ".",
    )
