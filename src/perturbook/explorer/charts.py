"""The charts of a concept's page: authored in Altair, compiled to Vega when the site is written, filled in the browser.

Every chart reads the rows that the browser gives to `rows`, and some also the cutoffs given to `marks`. Text and lines take the
colour of the page around them, so that light and dark need no second drawing. Colours: Okabe and Ito, as in the book.
"""

import altair as alt
import vl_convert

from perturbook.palette import BLUE, GREEN, GREY, VERMILLION

FAINT = "#9aa3ad"
ORDERS = ("attribution", "DE", "expression", "random")
INK = "currentColor"
AXIS = {
    "labelColor": INK,
    "titleColor": INK,
    "gridColor": INK,
    "gridOpacity": 0.12,
    "tickColor": INK,
    "tickOpacity": 0.4,
    "domainColor": INK,
    "domainOpacity": 0.4,
    "labelFontSize": 11,
    "titleFontSize": 11,
    "titleFontWeight": "normal",
    "labelLimit": 150,
    "labelOverlap": "greedy",
    "labelSeparation": 6,
}
LEGEND = {
    "columns": 2,
    "labelColor": INK,
    "titleColor": INK,
    "labelFontSize": 11,
    "titleFontSize": 11,
    "orient": "top",
}
STEP = {"step": 16}
COUNT = alt.Axis(tickMinStep=1, labelExpr="datum.value % 1 ? '' : format(datum.value, ',d')")
"""Axis of counts: no label between two whole numbers."""
ROWS, MARKS = alt.Data(name="rows"), alt.Data(name="marks")


def specs() -> dict[str, dict]:
    """Compiled Vega specification by name of the chart; equal on every call.

    Source: the charts, `concepts.md` section 8; sizes, our choice.
    """
    made = {
        "codes": _codes(),
        "shares": _shares(),
        "quartiles": _quartiles(),
        "attribution": _genes("attribution (share of activation that goes)"),
        "pre": _genes("attribution before Top-K (share of the gap)"),
        "de": _genes("rank-sum z, active against other cells"),
        "cutoffs": _cutoffs(),
        "curves": _curves(),
    }
    return {name: _compiled(chart) for name, chart in made.items()}


def _compiled(chart: alt.Chart | alt.LayerChart) -> dict:
    full = chart.properties(width="container", background="transparent")
    full = full.configure(view={"stroke": None}, axis=AXIS, legend=LEGEND, font="system-ui, sans-serif")
    return vl_convert.vegalite_to_vega(full.to_dict())


def _few() -> alt.Axis:
    """As many ticks as have room for labels of five digits."""
    return alt.Axis(tickCount=alt.ExprRef("max(2, floor(width / 75))"))


def _names(title: str | None = None) -> alt.Y:
    """One row per name, in the order in which the rows come."""
    axis = alt.Axis(grid=False, ticks=False, domain=False, labelOverlap=False)  # every row is named
    return alt.Y("name:N", sort=None, title=title, axis=axis)


def _codes():
    x = alt.X("code:Q", bin=alt.Bin(maxbins=30), title="activation (a.u.)", axis=_few())
    bars = alt.Chart(ROWS, height=150).mark_bar(color=BLUE)
    return bars.encode(x=x, y=alt.Y("count():Q", title="active cells", axis=COUNT))


def _shares():
    x = alt.X("share:Q", title="cells in which it is active (%)", scale=alt.Scale(domainMin=0), axis=_few())
    bars = alt.Chart(ROWS, height=STEP).mark_bar(color=BLUE).encode(x=x, y=_names())
    every = alt.Chart(MARKS).mark_rule(color=INK, strokeDash=[4, 3]).encode(x="at:Q")
    return bars + every


def _quartiles():
    base = alt.Chart(ROWS, height=STEP).encode(y=_names())
    x = alt.X("lower:Q", title="activation of active cells (a.u.)", scale=alt.Scale(zero=True), axis=_few())
    lines = base.mark_rule(color=BLUE, strokeWidth=3, opacity=0.55).encode(x=x, x2="upper:Q")
    points = base.mark_point(color=INK, filled=True, size=40, opacity=1).encode(x="median:Q")
    every = base.mark_tick(opacity=0).encode(x=alt.value(0))  # a group without an active cell keeps its row
    return every + lines + points


def _genes(title: str):
    base = alt.Chart(ROWS, height=STEP).encode(y=_names())
    colour = alt.Color("below:N", scale=alt.Scale(domain=[False, True], range=[BLUE, FAINT]), legend=None)
    bars = base.mark_bar(size=10).encode(x=alt.X("value:Q", title=title, axis=_few()), color=colour)
    errors = base.mark_rule(color=INK).encode(x="low:Q", x2="high:Q")
    cut = alt.Chart(MARKS).mark_rule(color=VERMILLION, strokeDash=[4, 3]).encode(x="at:Q")
    return bars + errors + cut


def _cutoffs():
    x = alt.X(
        "cutoff:Q",
        scale=alt.Scale(type="log", nice=False),
        title="cutoff of attribution",
        axis=alt.Axis(tickCount=5),
    )
    y = alt.Y("genes:Q", title="tested genes above", axis=COUNT)
    line = alt.Chart(ROWS, height=150).mark_line(color=BLUE, interpolate="step-before").encode(x=x, y=y)
    base = alt.Chart(MARKS).encode(x="at:Q")
    rule = base.mark_rule(strokeDash=[4, 3], color=VERMILLION)
    words = base.mark_text(align="left", dx=3, dy=6, color=INK, fontSize=10).encode(
        text="what:N", y=alt.value(0)
    )
    return line + rule + words


def _curves():
    scale = alt.Scale(domain=list(ORDERS), range=[BLUE, VERMILLION, GREEN, GREY])
    shapes = alt.Scale(domain=list(ORDERS), range=["circle", "square", "triangle-up", "diamond"])
    x = alt.X(
        "genes:Q",
        scale=alt.Scale(type="log", nice=False),
        title="genes swapped together",
        axis=alt.Axis(format="d", tickCount=5),
    )
    base = alt.Chart(ROWS, height=170).encode(
        x=x,
        y=alt.Y("left:Q", title="activation left (%)", scale=alt.Scale(domainMin=0)),
        color=alt.Color("order:N", scale=scale, title=None),
    )
    points = base.mark_point(filled=True, size=40, opacity=1).encode(
        shape=alt.Shape("order:N", scale=shapes, title=None)
    )
    return base.mark_line() + points
