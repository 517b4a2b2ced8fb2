"""Chart of the worked example: dose curves of the genes that the reader picks, measured and predicted."""

import altair as alt
import pandas as pd

from perturbook.pages.one_drug import MEASURED, OneDrug, curves
from perturbook.pages.present import number
from perturbook.palette import BLUE, GREEN, GREY, ORANGE, PURPLE, ROLE, SKY

PANELS = 3
"""Genes side by side, each with a menu."""
EVERY = "none"
"""Choice of the menu that singles nothing out."""
LINES = (BLUE, GREEN, PURPLE, GREY, SKY, ORANGE)
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [5, 5], [1, 4])
SHAPES = ("triangle-up", "square", "diamond", "cross", "triangle-down", "stroke")


def dose_chart(one: OneDrug, n_genes: int) -> alt.FacetChart:
    """Change of expression by dose, one panel per gene of the menus: measured points with intervals, a line per predictor."""
    rows = curves(one, n_genes).round({"change": 4, "low": 4, "high": 4})
    genes = list(dict.fromkeys(rows["gene"]))
    menus = [
        alt.param(
            name=f"gene_{i + 1}",
            value=genes[min(i, len(genes) - 1)],
            bind=alt.binding_select(options=genes, name=f"Gene {i + 1}: "),
        )
        for i in range(min(PANELS, len(genes)))
    ]
    picked = " || ".join(f"datum.gene == {menu.name}" for menu in menus)
    sources = list(dict.fromkeys(rows["predictor"]))
    lines = _cycled(LINES, len(sources) - 1)
    color = _scaled(alt.Color, sources, [ROLE["observed"], *lines])
    shape = _scaled(alt.Shape, sources, ["circle", *_cycled(SHAPES, len(sources) - 1)])
    dash = _scaled(alt.StrokeDash, sources, [[1, 0], *_cycled(DASHES, len(sources) - 1)])
    # a legend of a faceted chart cannot be clicked, so a menu singles out
    only = alt.param(
        name="source",
        value=EVERY,
        bind=alt.binding_select(options=[EVERY, *sources], name="Single out: "),
    )
    x = alt.X(
        "dose_um:Q",
        title="Dose (µM, log scale)",
        scale=alt.Scale(type="log", padding=12),
        axis=alt.Axis(values=[float(dose) for dose in one.doses], format="~g"),
    )
    y = alt.Y("change:Q", title=f"Change against control ({one.truth.facts['scale']})")
    faint = alt.condition(f"source == '{EVERY}' || datum.predictor == source", alt.value(1), alt.value(0.15))
    tips = ["gene", "predictor", alt.Tooltip("dose_um:Q", title="dose (µM)")]
    tips += [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("change", "low", "high")]
    base = alt.Chart()
    predicted = base.transform_filter(alt.datum.predictor != MEASURED)
    zero = base.mark_rule(strokeDash=[4, 4], color=GREY, strokeWidth=1, aria=False).encode(y=alt.datum(0))
    drawn = predicted.mark_line(strokeWidth=2).encode(x=x, y=y, color=color, strokeDash=dash, opacity=faint)
    bars = (
        base.transform_filter((alt.datum.predictor == MEASURED) & "isValid(datum.low)")
        .mark_rule(strokeWidth=2)
        .encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=color, opacity=faint)
    )
    points = base.mark_point(filled=True, size=70).encode(
        x=x, y=y, color=color, shape=shape, opacity=faint, tooltip=tips
    )
    head = alt.Facet("gene:N", title=None, sort=genes, header=alt.Header(labelFontSize=13))
    return (
        alt.layer(zero, drawn, bars, points, data=rows)
        .properties(width=185, height=230)
        .facet(facet=head, columns=PANELS)
        .transform_filter(picked)
        .add_params(*menus, only)
        .properties(description=_said(one, rows, genes))
    )


def _cycled(values: tuple, n: int) -> list:
    return [values[i % len(values)] for i in range(n)]


def _scaled(channel: type, domain: list[str], values: list):
    """One legend for colour, shape and dash, because all name the same sources."""
    legend = alt.Legend(orient="top", columns=2, symbolSize=90, symbolStrokeWidth=2)
    scale = alt.Scale(domain=domain, range=values)
    return channel("predictor:N", title="Source", scale=scale, legend=legend)


def _said(one: OneDrug, rows: pd.DataFrame, genes: list[str]) -> str:
    """What the chart shows, with the numbers of the panels that stand there at first."""
    context, drug = one.name
    last = rows[rows["dose_um"] == one.doses[-1]].set_index(["gene", "predictor"])["change"]
    told = [
        f"{gene}: " + ", ".join(f"{name} {number(last[gene, name], 2)}" for name in last[gene].index)
        for gene in genes[:PANELS]
    ]
    return (
        f"Change of the mean expression against control by dose, {drug} in {context}, {one.cells}, one panel per gene chosen "
        f"in the menus: measured points with 95 % intervals over cells, and a line per predictor. At {one.doses[-1]:g} µM, "
        f"{'; '.join(told)}."
    )
