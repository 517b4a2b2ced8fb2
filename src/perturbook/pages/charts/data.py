"""Charts of a data card: library sizes, the map of cells, and the size of the measured change."""

from itertools import zip_longest

import altair as alt
import numpy as np
import pandas as pd

from perturbook.palette import CATEGORY, GREY, ROLE, VERMILLION

SHAPES = [
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "triangle-left",
]
"""One more than there are colours, so that colour and shape repeat together only after 56 groups."""
CLASSES = 5  # of library size on the map
AMOUNTS = ["#3b496c", "#646770", "#8b8778", "#b6a96f", "#e5cf52"]
"""Five steps of `palette.SEQUENTIAL` without its ends, which vanish on a dark and on a white page."""
NO_EFFECT = "expected without any effect"


def depth_chart(depth: pd.DataFrame) -> alt.LayerChart:
    """Draw the library sizes of every context, control and perturbed cells apart, from `card_tables.depth`."""
    order = depth.groupby("context")["median"].max().sort_values(ascending=False).index.tolist()
    states = [state for state in ("control", "perturbed") if state in set(depth["state"])]
    base = alt.Chart(depth).encode(
        y=alt.Y("context:N", title="Context", sort=order),
        yOffset=alt.YOffset("state:N", sort=states),
        color=alt.Color(
            "state:N",
            title="Cells",
            scale=alt.Scale(domain=states, range=[ROLE["control"], ROLE["treated"]][: len(states)]),
            legend=alt.Legend(orient="top") if len(states) > 1 else None,
        ),
        tooltip=[
            "context",
            "state",
            alt.Tooltip("cells:Q", format=","),
            *(alt.Tooltip(f"{q}:Q", format=",.0f") for q in ("p5", "q1", "median", "q3", "p95")),
        ],
    )
    x = alt.X(
        "p5:Q",
        title="Counts per cell (log scale)",
        axis=alt.Axis(tickCount=5, labelOverlap="greedy"),
        scale=alt.Scale(type="log", nice=False, padding=12),
    )
    whiskers = base.mark_rule(strokeWidth=1.5).encode(x=x, x2="p95:Q")
    boxes = base.mark_bar(height=9, opacity=0.75).encode(x=alt.X("q1:Q"), x2="q3:Q")
    medians = base.mark_tick(thickness=2.5, height=13, color="#000000").encode(
        x=alt.X("median:Q"), color=alt.value("#101010")
    )
    return alt.layer(whiskers, boxes, medians).properties(
        width="container",
        height=16 * len(order) * len(states),
        description="Library size in counts per cell on a logarithmic axis, one row per context: the box holds the middle "
        "half of the cells, the line the middle 90 percent, the tick is the median; control and perturbed cells apart.",
    )


def map_chart(cells: pd.DataFrame) -> alt.Chart:
    """Draw the map of `cell_map.cell_map`; a menu colours it by context, condition or library size."""
    counted = bool(cells["n_counts"].notna().all())
    cells = cells.fillna({"n_counts": 0})
    edges = np.unique(np.quantile(cells["n_counts"], np.linspace(0, 1, CLASSES + 1)))
    ends = list(zip(edges, edges[1:], strict=False)) or [(edges[0], edges[0])]
    names = [f"{i}: {low:,.0f} to {high:,.0f} counts" for i, (low, high) in enumerate(ends, 1)]
    cells = cells.assign(depth=np.array(names)[np.searchsorted(edges[1:-1], cells["n_counts"], side="right")])
    menu = {"context": "Context", "group": "Condition", "depth": "Library size"}
    if cells["group"].nunique() == 1:
        del menu["group"]
    if not counted:  # intensities have no library size
        del menu["depth"]
    pick = alt.param(
        name="colour",
        value="context",
        bind=alt.binding_select(options=list(menu), labels=list(menu.values()), name="Colour: "),
    )
    # One scale for labels and amounts, because a second layer with its own would leave an empty legend behind; and no
    # explicit order, because legends of colour and shape are drawn as one only in the default order.
    hues = [
        alt.ExprRef(f"colour == 'depth' ? '{amount}' : '{hue}'")
        for amount, hue in zip_longest(AMOUNTS, CATEGORY, fillvalue=AMOUNTS[-1])
    ]
    look = {"title": None, "legend": alt.Legend(orient="bottom", columns=2, symbolLimit=60)}
    return (
        alt.Chart(cells)
        .transform_calculate(shown="datum[colour]")
        .mark_point(filled=True, size=28, opacity=0.8)
        .encode(
            x=alt.X("x:Q", title="UMAP 1 (no unit)", scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", title="UMAP 2 (no unit)", scale=alt.Scale(zero=False)),
            color=alt.Color("shown:N", scale=alt.Scale(range=hues), **look),
            shape=alt.Shape("shown:N", scale=alt.Scale(range=SHAPES), **look),
            tooltip=["context", "group"]
            + [alt.Tooltip("n_counts:Q", title="counts per cell", format=",.0f")] * counted,
        )
        .add_params(pick)
        .properties(
            width="container",
            height=400,
            description="Map of cells by UMAP, one point per cell; neighbours are alike, distances between far groups mean "
            "little. The menu colours the cells by context, condition or library size.",
        )
    )


def change_chart(change: pd.DataFrame, unit: str = "log1p units") -> alt.Chart:
    """Draw the size of the measured change of `card_tables.change` by dose, or by context where doses do not vary.

    Args:
        change: the table.
        unit: unit of the values.
    """
    unit = f"Change (RMS, {unit})"
    if change["dose_um"].nunique() > 1:
        noise = change.groupby("dose_um", as_index=False)["expected"].mean()
        rows = pd.concat(
            [
                change.rename(columns={"context": "line", "measured": "size"})[["dose_um", "line", "size"]],
                noise.rename(columns={"expected": "size"}).assign(line=NO_EFFECT),
            ]
        )
        lines = [*sorted(set(change["context"])), NO_EFFECT]
        hues = [hue for hue in CATEGORY if hue != GREY]
        hues = [*(hues[i % len(hues)] for i in range(len(lines) - 1)), GREY]
        x = alt.X(
            "dose_um:Q",
            title="Dose (µM, log scale)",
            scale=alt.Scale(type="log", nice=False, padding=16),
            axis=alt.Axis(values=sorted(set(change["dose_um"].dropna())), format="~g"),
        )
        y, height, columns = alt.Y("size:Q", title=unit), 300, 2
        chart = alt.Chart(rows).mark_line(point=alt.OverlayMarkDef(size=60, filled=True))
        dash = {
            "strokeDash": alt.condition(alt.datum.line == NO_EFFECT, alt.value([5, 4]), alt.value([1, 0]))
        }
    else:
        order = change.sort_values("measured", ascending=False)["context"].tolist()
        rows = change.melt(["context"], ["measured", "expected"], "line", "size")
        rows["line"] = rows["line"].replace("expected", NO_EFFECT)
        lines, hues, dash = ["measured", NO_EFFECT], [VERMILLION, GREY], {}
        x, y = alt.X("size:Q", title=unit), alt.Y("context:N", title="Context", sort=order)
        chart, height, columns = (
            alt.Chart(rows).mark_point(filled=True, size=90, opacity=1),
            24 * len(order),
            1,
        )
    look = {"title": None, "legend": alt.Legend(orient="top", columns=columns)}
    return chart.encode(
        x=x,
        y=y,
        color=alt.Color("line:N", scale=alt.Scale(domain=lines, range=hues), **look),
        shape=alt.Shape("line:N", scale=alt.Scale(domain=lines, range=SHAPES), **look),
        tooltip=[*rows.columns[:-1], alt.Tooltip("size:Q", format=".3f")],
        **dash,
    ).properties(
        width="container",
        height=height,
        description="Size of the change against the control of the same context, as root mean square over genes, by dose or "
        "by context, beside the size that noise alone would give without any effect.",
    )
