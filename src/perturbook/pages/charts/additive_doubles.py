"""Charts of the additive page about one double at a time: its genes, weights of a correction, intervals of its cells."""

import altair as alt
import numpy as np
import pandas as pd

from perturbook.evaluation.additivity import BEYOND
from perturbook.pages.additive import FLOORS, SUM, Doubles
from perturbook.palette import BLUE, CATEGORY, GREY, VERMILLION

GENES = 15
"""Genes of a double that are drawn: those of the largest measured deviation."""


def gene_rows(pages: list[Doubles]) -> tuple[list[dict], list[str]]:
    """One row per double: its `GENES` genes of the largest measured deviation, in thousandths of log1p units.

    Returns:
        Rows with label, gene (names), d (measured deviation), e (1.96 standard errors; 0 where the cells are not at hand),
        and p0, p1, ... (predicted deviations, where the page has that predictor); and the predictors in that order: the
        sums of `FLOORS`, and all that is no floor.
    """
    names: list[str] = []
    rows = []
    for one in pages:
        asked = [made for made in one.predictions if made.role != "floor" or made.name in FLOORS]
        asked = [made for made in asked if made.name != SUM]
        names += [made.title for made in asked if made.title not in names]
        left, order = one.measured - one.sum, np.lexsort((one.names, one.classes))
        error = np.zeros_like(left) if one.noise is None else BEYOND * np.sqrt(one.noise.noise)
        for i in order:
            top = np.argsort(-np.abs(left[i]), kind="stable")[:GENES]
            row = {"label": f"{one.classes[i]}: {one.names[i]}", "gene": one.bundle.truth.genes[top].tolist()}
            row |= {"d": _thousandths(left[i, top]), "e": _thousandths(error[i, top])}
            for made in asked:
                row[f"p{names.index(made.title)}"] = _thousandths((made.mean - one.sum)[i, top])
            rows.append(row)
    return rows, names


def _thousandths(values: np.ndarray) -> list[int | None]:
    return [None if np.isnan(one) else round(1000 * float(one)) for one in values]


def genes_chart(pages: list[Doubles], double: str, method: str) -> alt.LayerChart:
    """Measured and predicted deviation of the genes of one double; menus pick the double and the predictor."""
    rows, names = gene_rows(pages)
    labels = [row["label"] for row in rows]
    first = next(label for label in labels if label.endswith(f" {double}"))
    titles = (made.title for one in pages for made in one.predictions if made.name == method)
    title = next((one for one in titles if one in names), names[-1])
    pick = alt.param(name="double_", value=first, bind=alt.binding_select(options=labels, name="Double: "))
    who = alt.param(name="whose", value=title, bind=alt.binding_select(options=names, name="Predictor: "))
    base = (
        alt.Chart()
        .transform_filter("datum.label == double_")
        .transform_calculate(p=f"datum['p' + indexof({names}, whose)] || []")
        .transform_flatten(["gene", "d", "e", "p"])
        .transform_calculate(
            measured="datum.d / 1000",
            predicted="isValid(datum.p) ? datum.p / 1000 : null",
            low="(datum.d - datum.e) / 1000",
            high="(datum.d + datum.e) / 1000",
        )
    )
    y = alt.Y(
        "gene:N",
        title="Measured gene",
        axis=alt.Axis(minExtent=80),
        sort=alt.EncodingSortField("measured", order="descending"),
    )
    look = {"title": None, "legend": alt.Legend(orient="top", columns=1)}
    domain = ["measured, with 1.96 standard errors", "predicted"]
    colour = alt.Scale(domain=domain, range=[VERMILLION, BLUE])
    shape = alt.Scale(domain=domain, range=["circle", "triangle-up"])
    bars = base.mark_rule(strokeWidth=2, color=VERMILLION, opacity=0.5).encode(
        x=alt.X("low:Q", title="Deviation from the sum (log1p units)"), x2="high:Q", y=y
    )
    # one layer for both: a scale of a predictor that does not know this double would have no extent
    points = (
        base.transform_calculate(both="[datum.measured, datum.predicted]", words=f"{domain}")
        .transform_flatten(["both", "words"], ["value", "word"])
        .transform_filter("isValid(datum.value)")
        .mark_point(filled=True, size=70)
        .encode(
            x="value:Q",
            y=y,
            color=alt.Color("word:N", scale=colour, **look),
            shape=alt.Shape("word:N", scale=shape, **look),
            tooltip=[alt.Tooltip("gene:N"), alt.Tooltip("measured:Q"), alt.Tooltip("predicted:Q")],
        )
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule().encode(x="zero:Q")
    return (
        alt.layer(zero, bars, points, data=alt.Data(values=rows))
        .add_params(pick, who)
        .properties(
            width="container",
            height=360,
            description=f"The {GENES} genes in which one double, chosen in a menu, deviates most from the sum of its singles: measured "
            "deviation with its noise, and what a predictor adds to the sum. Doubles of all classes but “real cells” are "
            f"simulated; {len(rows)} doubles and {len(names)} predictors can be chosen.",
        )
    )


def weights_chart(found: pd.DataFrame) -> alt.LayerChart:
    """Correlation of changes against the weight of three corrections of one double, with the tangents at weight 0."""
    order = list(dict.fromkeys(found["correction"]))
    look = {"title": "Correction", "legend": alt.Legend(orient="top", columns=1, labelLimit=320)}
    colour = alt.Color("correction:N", scale=alt.Scale(domain=order, range=CATEGORY), **look)
    x = alt.X("weight:Q", title="Weight of the correction (0: the sum alone)")
    base = alt.Chart(found[["correction", "weight", "correlation", "tangent", "error"]].round(4))
    lines = base.mark_line(strokeWidth=3).encode(
        x=x,
        y=alt.Y("correlation:Q", title="Correlation with the measured change", scale=alt.Scale(zero=False)),
        color=colour,
        tooltip=["correction", "weight", "correlation", "error"],
    )
    tangents = (
        base.transform_filter("datum.tangent <= 1 && datum.weight <= 0.5")
        .mark_line(strokeDash=[4, 4])
        .encode(x=x, y="tangent:Q", color=colour)
    )
    first = found.drop_duplicates("correction").set_index("correction")["derivative"]
    return alt.layer(tangents, lines).properties(
        width="container",
        height=320,
        description="One simulated double: correlation of predicted with measured change when a correction is added to the sum with "
        "growing weight; dashed, the tangent that the formula gives at weight 0. Slopes there: "
        + "; ".join(f"{name} {value:.3f}" for name, value in first.items())
        + ".",
    )


def within_chart(found: pd.DataFrame) -> alt.LayerChart:
    """Error of the sum minus error of every predictor on one measured double, with the interval of its cells; a menu picks it."""
    doubles, order = list(dict.fromkeys(found["double"])), list(dict.fromkeys(found["predictor"]))
    pick = alt.param(
        name="real_double", value=doubles[0], bind=alt.binding_select(options=doubles, name="Double: ")
    )
    shown = found[["predictor", "double", "gain", "low", "high"]].round(5)
    words = ["wholly below zero", "not wholly below zero"]
    shown = shown.assign(word=np.where(found["lost"], *words))
    look = {"title": "Interval", "legend": alt.Legend(orient="top", columns=1)}
    y = alt.Y("predictor:N", title=None, sort=order, axis=None)
    colour = alt.Color("word:N", scale=alt.Scale(domain=words, range=[VERMILLION, GREY]), **look)
    base = alt.Chart(shown).transform_filter("datum.double == real_double")
    names = base.mark_text(align="left", dy=-12).encode(x=alt.value(0), y=y, text="predictor:N")
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=["Nearer than the sum by", "(RMSE of means, log1p units)"]),
        x2="high:Q",
        y=y,
        color=colour,
    )
    marks = base.mark_point(filled=True, size=60).encode(
        x="gain:Q",
        y=y,
        color=colour,
        shape=alt.Shape("word:N", scale=alt.Scale(domain=words, range=["triangle-up", "circle"]), **look),
        tooltip=["predictor", "double", "gain", "low", "high"],
    )
    zero = alt.Chart(pd.DataFrame({"gain": [0.0]})).mark_rule(strokeDash=[6, 4]).encode(x="gain:Q")
    lost = found.groupby("predictor", sort=False)["lost"].sum()
    return (
        alt.layer(zero, names, bars, marks)
        .add_params(pick)
        .properties(
            width="container",
            height=38 * len(order),
            description="Real cells: by how much every predictor is nearer than the sum on one measured double, with the interval that "
            "the cells of that double leave. Doubles lost beyond their cells, of "
            f"{len(doubles)}: " + "; ".join(f"{name} {count}" for name, count in lost.items()) + ".",
        )
    )
