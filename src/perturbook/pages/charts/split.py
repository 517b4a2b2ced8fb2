"""Who may see what: a square per perturbation and context, or a mark per gene and pair of genes."""

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
MARKS = {
    "training": ("square", PARTS["training"]),
    "validation": ("diamond", PARTS["validation"]),
    "training and test": ("triangle-up", MIXED),
    "test": ("circle", PARTS["test"]),
    "not used": ("cross", PARTS["not used"]),
}
"""Shape and colour of a condition of one or two genes, by what its cells are used for."""


def split_grid(
    table: pd.DataFrame, description: str, rows: str = "Context", menu: str = "Held out: "
) -> alt.Chart:
    """Draw perturbation x context, coloured by what the cells are used for; a menu picks the fold where there are several.

    Args:
        table: columns fold, context, perturbation, part, cells, as `layout.layout_of` makes them.
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


def pair_grid(table: pd.DataFrame, description: str) -> alt.Chart:
    """Draw gene x gene, singles on the diagonal and doubles below it, by what their cells are used for.

    A menu picks the setting. A pair without a mark was not measured.

    Args:
        table: columns setting, condition, first, second, part, training, validation, test, seen, as
            `unseen_genes.board` makes them.
        description: accessible name of the chart.
    """
    settings = list(dict.fromkeys(table["setting"]))
    genes = sorted({*table["first"], *table["second"]})
    parts = [part for part in MARKS if part in set(table["part"])]
    shapes, colours = ([MARKS[part][at] for part in parts] for at in (0, 1))
    look = {"title": "Cells are", "legend": alt.Legend(orient="top", columns=3)}
    axis = alt.Axis(grid=True)
    pick = alt.param(
        name="setting", value=settings[0], bind=alt.binding_select(options=settings, name="Setting: ")
    )
    return (
        alt.Chart(table)
        .mark_point(filled=True, size=150, opacity=1)
        .encode(
            x=alt.X("first:N", title="One gene", sort=genes, scale=alt.Scale(domain=genes), axis=axis),
            y=alt.Y(
                "second:N",
                title="Other gene (same gene: a single)",
                sort=genes,
                scale=alt.Scale(domain=genes),
                axis=axis,
            ),
            color=alt.Color("part:N", scale=alt.Scale(domain=parts, range=colours), **look),
            shape=alt.Shape("part:N", scale=alt.Scale(domain=parts, range=shapes), **look),
            tooltip=[
                "condition",
                "part",
                *(
                    alt.Tooltip(f"{word}:Q", title=f"{word} cells")
                    for word in ("training", "validation", "test")
                ),
                alt.Tooltip("seen:N", title="genes that training holds alone"),
            ],
        )
        .transform_filter(alt.datum.setting == pick)
        .add_params(pick)
        .properties(width="container", height=24 * len(genes), description=description)
    )
