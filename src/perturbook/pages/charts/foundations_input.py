"""Charts of what a foundation model sees: counts against bins, expression against bins, and cells side by side."""

import altair as alt
import pandas as pd

from perturbook.palette import BLUE, GREY, SEQUENTIAL, VERMILLION


def counts_to_bins(grouped: pd.DataFrame, chosen: pd.DataFrame) -> alt.LayerChart:
    """Draw the bin of every gene of a picked cell against its count, and ring a picked gene.

    Args:
        grouped: from `foundations_input.by_count`.
        chosen: from `foundations_input.markers`, of the same cells.
    """
    cells, genes = sorted(set(grouped["label"])), sorted(set(chosen["gene"]))
    cell = alt.param(name="cell", value=cells[0], bind=alt.binding_select(options=cells, name="Cell: "))
    gene = alt.param(
        name="gene", value=genes[0], bind=alt.binding_select(options=genes, name="Ringed gene: ")
    )
    x = alt.X(
        "count:Q", title="counts of the gene in the cell", scale=alt.Scale(type="log", nice=False, padding=14)
    )
    y = alt.Y("bin:Q", title="bin the model reads (1 to 50)", scale=alt.Scale(domain=[0, 51], nice=False))
    dots = (
        alt.Chart(grouped[["label", "count", "bin", "genes", "names"]])
        .mark_point(filled=True, color=BLUE, opacity=0.7)
        .encode(
            x=x,
            y=y,
            size=alt.Size(
                "genes:Q",
                title="genes",
                legend=alt.Legend(orient="top", values=[1, 5, 10]),
                scale=alt.Scale(range=[25, 260]),
            ),
            tooltip=["count", "bin", "genes", alt.Tooltip("names", title="such as")],
        )
        .transform_filter(alt.datum.label == cell)
    )
    own = alt.Chart(chosen[["label", "gene", "count", "bin", "lowest", "highest"]]).transform_filter(
        (alt.datum.label == cell) & (alt.datum.gene == gene)
    )
    bar = own.mark_rule(color=VERMILLION, strokeWidth=2).encode(x=x, y=alt.Y("lowest:Q"), y2="highest:Q")
    ring = own.mark_point(color=VERMILLION, size=260, strokeWidth=2.5, filled=False).encode(
        x=x, y=y, tooltip=["gene", "count", "bin", "lowest", "highest"]
    )
    return (
        (dots + bar + ring)
        .add_params(cell, gene)
        .properties(
            width="container",
            height=340,
            description="Bin against counts of every gene of the cell picked in the first menu, larger points for more genes. "
            "Genes with a single count spread over most of the scale; the highest counts share a bin. A ring marks the gene "
            "picked in the second menu where the cell expresses it, and its line all bins that other seeds could give it.",
        )
    )


def expression_to_bins(chosen: pd.DataFrame) -> alt.Chart:
    """Draw bin against log-normalised expression of a picked gene over cells, from `foundations_input.markers`."""
    genes = sorted(set(chosen["gene"]))
    pick = alt.param(name="marker", value=genes[0], bind=alt.binding_select(options=genes, name="Gene: "))
    look = {"title": "Condition", "legend": alt.Legend(orient="top")}
    domain = sorted(set(chosen["perturbation"]), key=lambda one: (one != "control", one))
    colours = alt.Scale(domain=domain, range=[GREY, VERMILLION][: len(domain)])
    return (
        alt.Chart(chosen[["gene", "label", "perturbation", "count", "lognorm", "bin"]].round({"lognorm": 3}))
        .mark_point(filled=True, opacity=0.6)
        .encode(
            x=alt.X("lognorm:Q", title="expression (log1p of counts per 10k)", scale=alt.Scale(zero=False)),
            y=alt.Y(
                "bin:Q", title="bin the model reads (1 to 50)", scale=alt.Scale(domain=[0, 51], nice=False)
            ),
            color=alt.Color("perturbation:N", scale=colours, **look),
            shape=alt.Shape("perturbation:N", scale=alt.Scale(domain=domain), **look),
            tooltip=["label", "count", alt.Tooltip("lognorm", format=".2f"), "bin"],
        )
        .transform_filter(alt.datum.gene == pick)
        .add_params(pick)
        .properties(
            width="container",
            height=300,
            description="Bin against log-normalised expression of the gene picked in the menu, one point per cell that "
            "expresses it. For a gene that is high in every cell the bin hardly moves while expression varies; for a gene "
            "with few counts one expression meets many bins.",
        )
    )


def cells_side_by_side(similarity: pd.DataFrame) -> alt.Chart:
    """Draw the cosine between the embeddings of every two cells; columns first, second, cosine."""
    order = list(dict.fromkeys(similarity["first"]))
    return (
        alt.Chart(similarity)
        .mark_rect(stroke="#88888855")
        .encode(
            x=alt.X("second:N", title="cell", sort=order, axis=alt.Axis(labelAngle=-45)),
            y=alt.Y("first:N", title="cell", sort=order),
            color=alt.Color(
                "cosine:Q",
                title="cosine",
                scale=alt.Scale(scheme=SEQUENTIAL),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=["first", "second", alt.Tooltip("cosine:Q", format=".3f")],
        )
        .properties(
            width="container",
            height=24 * len(order),
            description="Cosine between the embeddings of every two of the cells of this page, one row and one column per "
            "cell; the diagonal, a cell with itself, is one.",
        )
    )
