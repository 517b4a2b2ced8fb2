"""Charts of embeddings side by side: scores with intervals, and the type score by type."""

import altair as alt
import pandas as pd

from perturbook.pages.charts.scores import told_apart
from perturbook.palette import BLUE, GREEN, PURPLE, SEQUENTIAL, VERMILLION

KNOWS = {
    "type_knn": ("cell type", BLUE),
    "type_knn_across": ("cell type, across conditions", VERMILLION),
    "condition_auroc": ("condition, within type", GREEN),
    "silhouette": ("silhouette", PURPLE),
}
DEPTH = {"depth_r2": ("all cells", VERMILLION), "depth_r2_within": ("within type", BLUE)}


def knowledge(found: pd.DataFrame) -> alt.LayerChart:
    """Draw the scores of type and condition per embedding with 95 % intervals, from `foundations_embeddings.summary`."""
    return _intervals(
        found,
        KNOWS,
        "score (share, AUROC or silhouette, at most 1)",
        "Neighbours show",
        "Scores of each embedding with 95 percent bootstrap intervals over cells: how often neighbours show the cell type, "
        "the same with neighbours of the other condition only, how surely they show the condition within a type, and the "
        "silhouette of the type. The last row is an embedding whose rows were given to the wrong cells.",
    )


def depth_leakage(found: pd.DataFrame) -> alt.LayerChart:
    """Draw how well a line reads sequencing depth, over all cells and within types, with 95 % intervals."""
    return _intervals(
        found,
        DEPTH,
        "R² of the log of total counts (at most 1)",
        "A line shows depth",
        "How well the depth of a cell is read off each embedding by a line, with 95 percent bootstrap intervals over cells, over "
        "all cells and within types. Zero or less means that the embedding tells nothing of depth that a line could read.",
    )


def _intervals(
    found: pd.DataFrame, kinds: dict, x_title: str, legend: str, description: str
) -> alt.LayerChart:
    data = found[found["score"].isin(kinds)].dropna(subset="mean")
    data = data.assign(what=[kinds[one][0] for one in data["score"]])
    shown = {words: colour for name, (words, colour) in kinds.items() if name in set(data["score"])}
    order, look = list(dict.fromkeys(data["embedding"])), told_apart("what", shown, title=legend)
    y = alt.Y("embedding:N", title="embedding", sort=order)
    offset = alt.YOffset("what:N", sort=list(shown))
    base = alt.Chart(data[["embedding", "what", "mean", "low", "high", "cells"]].round(4)).encode(
        y=y, yOffset=offset, color=look["color"]
    )
    bars = base.mark_rule().encode(x=alt.X("low:Q", title=x_title), x2="high:Q")
    points = base.mark_point().encode(
        x="mean:Q",
        shape=look["shape"],
        tooltip=[
            "embedding",
            "what",
            *(alt.Tooltip(one, format=".3f") for one in ("mean", "low", "high")),
            "cells",
        ],
    )
    zero = alt.Chart(pd.DataFrame({"at": [0.0]})).mark_rule(strokeDash=[4, 3]).encode(x="at:Q")
    return (zero + bars + points).properties(
        width="container", height=16 * len(order) * len(shown) + 20, description=description
    )


def type_by_type(found: pd.DataFrame) -> alt.Chart:
    """Draw types x embeddings, coloured by the share of cells whose neighbours show their type."""
    order = list(dict.fromkeys(found["embedding"]))
    return (
        alt.Chart(found.round({"value": 4}))
        .mark_rect(stroke="#88888855")
        .encode(
            x=alt.X("embedding:N", title="embedding", sort=order, axis=alt.Axis(labelAngle=-30)),
            y=alt.Y("type:N", title="cell type"),
            color=alt.Color(
                "value:Q",
                title="share recognised",
                scale=alt.Scale(scheme=SEQUENTIAL, domain=[0, 1]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=["type", "embedding", alt.Tooltip("value:Q", format=".2f"), "cells"],
        )
        .properties(
            width="container",
            height=26 * found["type"].nunique(),
            description="Share of the cells of each type whose neighbours show that type, one column per embedding.",
        )
    )
