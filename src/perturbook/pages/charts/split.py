"""Who may see what: one square per perturbation and context, as setting pages and the Settings chapter draw it."""

import altair as alt
import pandas as pd

PARTS = {
    "training": "#56B4E9",
    "validation": "#0072B2",
    "support": "#009E73",
    "test": "#D55E00",
    "shown": "#E69F00",
    "not used": "#999999",
}
MIXED = "#CC79A7"


def split_grid(
    table: pd.DataFrame, description: str, rows: str = "Context", menu: str = "Held out: "
) -> alt.Chart:
    """Draw perturbation x context, coloured by what the cells are used for; a menu picks the fold where there are several.

    Args:
        table: columns fold, context, perturbation, part, cells, as `study.layout_of` makes them.
        description: accessible name of the chart.
        rows: title of the vertical axis.
        menu: words before the menu.
    """
    folds = list(dict.fromkeys(table["fold"]))
    parts = [*(p for p in PARTS if p in set(table["part"])), *sorted(set(table["part"]) - set(PARTS))]
    colours = alt.Scale(domain=parts, range=[PARTS.get(part, MIXED) for part in parts])
    names = sorted(set(table["perturbation"]), key=lambda name: (name != "control", name))
    many = len(names) > 20
    chart = (
        alt.Chart(table)
        .mark_rect(stroke="#88888855")
        .encode(
            x=alt.X(
                "perturbation:N",
                title="Perturbation",
                sort=names,
                axis=alt.Axis(labels=not many, ticks=not many),
            ),
            y=alt.Y("context:N", title=rows, sort=list(dict.fromkeys(table["context"]))),
            color=alt.Color(
                "part:N", title="Cells are", scale=colours, legend=alt.Legend(orient="top", columns=3)
            ),
            tooltip=["context", "perturbation", "part", alt.Tooltip("cells:Q", title="cells")],
        )
        .properties(width="container", height=24 * table["context"].nunique(), description=description)
    )
    if len(folds) == 1:
        return chart
    pick = alt.param(name="fold", value=folds[0], bind=alt.binding_select(options=folds, name=menu))
    return chart.transform_filter(alt.datum.fold == pick).add_params(pick)
