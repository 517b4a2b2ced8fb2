"""The colours of every chart, and the Altair theme that carries them.

Text, axes and backgrounds have no colour here: `book/_static/charts.js` gives them the page's own, light or dark.
"""

BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
GREY = "#6E6E6E"
SKY = "#56B4E9"
ORANGE = "#E69F00"

CATEGORY = [BLUE, VERMILLION, GREEN, PURPLE, GREY, SKY, ORANGE]
"""Eight-colour set of Okabe and Ito without its yellow, its black turned grey so that it shows on a dark page.

The first five differ from white and from the dark page by a contrast of 3 or more; the last two do not reach it
on white, so a chart with more than five groups also tells them apart by shape or by label.
Source: colours, B. Wong, Nature Methods 8:441 (2011); contrast limit, WCAG 2.2, 1.4.11; the cut, our choice.
"""

ROLE = {
    "model": BLUE,
    "floor": GREY,
    "opponent": VERMILLION,
    "ceiling": GREEN,
    "oracle": PURPLE,
    "control": GREY,
    "treated": VERMILLION,
    "predicted": BLUE,
    "observed": VERMILLION,
}
"""One meaning, one colour, on every page."""

ROLE_SHAPE = {
    "floor": "circle",
    "opponent": "square",
    "model": "triangle-up",
    "oracle": "diamond",
    "ceiling": "cross",
}
"""One shape per role of a predictor, in the order of legends, for readers who cannot tell the colours."""

SEQUENTIAL = "cividis"
"""Scheme for amounts; monotone in lightness for every kind of colour vision."""

DIVERGING = "blueorange"
"""Scheme for signed amounts; give it `domainMid=0`."""


def theme() -> dict:
    """Altair theme: the palette, quiet axes and one size of text.

    Returns:
        A Vega-Lite specification with `config` only. Source: our choice.
    """
    return {
        "config": {
            "view": {"continuousWidth": 400, "continuousHeight": 280, "stroke": None},
            "range": {
                "category": CATEGORY,
                "ramp": {"scheme": SEQUENTIAL},
                "heatmap": {"scheme": SEQUENTIAL},
            },
            "mark": {"color": BLUE},
            "axis": {
                "labelFontSize": 12,
                "titleFontSize": 13,
                "titleFontWeight": "normal",
                "labelLimit": 220,
            },
            "legend": {
                "labelFontSize": 12,
                "titleFontSize": 13,
                "titleFontWeight": "normal",
                "labelLimit": 260,
            },
            "header": {"labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal"},
            "title": {"fontSize": 14, "fontWeight": "normal", "anchor": "start"},
            "point": {"size": 45, "filled": True, "opacity": 0.85},
        }
    }
