"""Charts of the additive page over all doubles: deviations beside their noise, and who is nearer than the sum."""

import altair as alt
import numpy as np
import pandas as pd

from perturbook.pages.additive_scores import PLANTED, groups
from perturbook.palette import CATEGORY, GREY, VERMILLION

ALL = "all classes"
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
GOLDEN = 0.618034
"""Steps of this part of the width spread marks evenly over a row."""


def where_chart(rows: pd.DataFrame) -> alt.LayerChart:
    """One mark per double and a row per class: its deviation over what sampling alone gives, filled where it stands out."""
    shown = rows[["page", "double", "class", "stands_out"]].assign(
        ratio=(rows["size"] / rows["expected"]).round(3), most=(rows["high"] / rows["expected"]).round(3)
    )
    shown["place"] = rows.groupby("class").cumcount() * GOLDEN % 1
    shown["word"] = np.where(rows["stands_out"], "beyond its noise", "within its noise")
    order = [name for name in groups(rows) if name != PLANTED]
    look = {"title": None, "legend": alt.Legend(orient="top")}
    domain = ["within its noise", "beyond its noise"]
    marks = (
        alt.Chart(shown.drop(columns="stands_out"))
        .mark_point(filled=True, size=45, opacity=0.8)
        .encode(
            x=alt.X(
                "ratio:Q", title=["Deviation from the sum over its", "expected noise (1: nothing but noise)"]
            ),
            y=alt.Y("class:N", title=None, sort=order),
            yOffset=alt.YOffset("place:Q", scale=alt.Scale(domain=[-0.15, 1.15])),
            color=alt.Color("word:N", scale=alt.Scale(domain=domain, range=[GREY, VERMILLION]), **look),
            shape=alt.Shape(
                "word:N", scale=alt.Scale(domain=domain, range=["circle", "triangle-up"]), **look
            ),
            tooltip=[
                "double",
                "class",
                "ratio",
                alt.Tooltip("most:Q", title="97.5 % of resamples below"),
                "page",
            ],
        )
    )
    line = alt.Chart(pd.DataFrame({"ratio": [1.0]})).mark_rule(strokeDash=[6, 4]).encode(x="ratio:Q")
    out = rows.groupby("class")["stands_out"].agg(["sum", "size"])
    return alt.layer(line, marks).properties(
        width="container",
        height=52 * len(order),
        description="Deviation of every double from the sum of its singles, over the noise to be expected in it; doubles of all "
        "classes but “real cells” are simulated. Beyond their noise: "
        + "; ".join(f"{name} {out.loc[name, 'sum']} of {out.loc[name, 'size']}" for name in order)
        + ".",
    )


def who_chart(rows: pd.DataFrame, noise: pd.DataFrame, method: str) -> alt.LayerChart:
    """One mark per simulated double: its deviation, and how much of it a predictor removes; menus pick predictor and class.

    Args:
        rows: `scores` of the page with simulated doubles.
        noise: `where`, for the noise of the doubles themselves.
        method: predictor that is drawn first.
    """
    wide, names = _wide(rows)
    first = next(
        (name for name in rows.loc[rows["method"] == method, "predictor"] if name in names), names[-1]
    )
    own = round(float(noise.loc[noise["double"].isin(wide["double"]), "own"].mean()), 4)
    classes = [name for name in groups(rows) if name != PLANTED]
    who = alt.param(name="who", value=first, bind=alt.binding_select(options=names, name="Predictor: "))
    pick = alt.param(
        name="class_", value=ALL, bind=alt.binding_select(options=[ALL, *classes], name="Class: ")
    )
    place = f"indexof({names}, who)"
    base = (
        alt.Chart(wide)
        .transform_filter(f"class_ == '{ALL}' || datum.class == class_")
        .transform_calculate(
            gain=f"datum['g' + {place}]",
            slope=f"datum['s' + {place}]",
            correlation=f"datum['c' + {place}]",
            perfect=f"datum.size - {own}",
        )
    )
    look = {"title": "Class, simulated", "legend": alt.Legend(orient="top", columns=3)}
    x = alt.X(
        "size:Q",
        title=["Measured deviation from the sum", "= error of the sum (log1p units)"],
        scale=alt.Scale(zero=False),
    )
    marks = base.mark_point(filled=True, size=50, opacity=0.8).encode(
        x=x,
        y=alt.Y("gain:Q", title="Error of the sum minus that of the predictor"),
        color=alt.Color("class:N", scale=alt.Scale(domain=classes, range=CATEGORY[: len(classes)]), **look),
        shape=alt.Shape("class:N", scale=alt.Scale(domain=classes, range=SHAPES[: len(classes)]), **look),
        tooltip=[
            *("double", "class"),
            *(alt.Tooltip(f"{one}:Q", format=".3f") for one in ("size", "gain", "slope", "correlation")),
        ],
    )
    perfect = base.mark_line(strokeDash=[6, 4], color=GREY).encode(x=x, y="perfect:Q")
    zero = alt.Chart(pd.DataFrame({"gain": [0.0]})).mark_rule().encode(y="gain:Q")
    mean = rows[rows["predictor"] == first].groupby("class")["gain"].mean()
    return (
        alt.layer(zero, perfect, marks)
        .add_params(who, pick)
        .properties(
            width="container",
            height=360,
            description="Simulated doubles: by how much a predictor, chosen in a menu, is nearer than the sum of the two singles, "
            "against the error of that sum; above zero it is nearer, and the dashed line is a perfect prediction. Mean of "
            f"{first}: " + "; ".join(f"{name} {value:.3f}" for name, value in mean.items()) + ".",
        )
    )


def _wide(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """One row per double with gain, slope and correlation of each predictor that is not the sum, and their names."""
    adds = rows.groupby("predictor", sort=False)["slope"].count()
    names = adds.index[adds > 0].tolist()
    wide = rows.drop_duplicates("double")[["double", "class", "size"]].round(4).reset_index(drop=True)
    for i, name in enumerate(names):
        mine = rows[rows["predictor"] == name].set_index("double").loc[wide["double"]]
        for letter, column, digits in (("g", "gain", 4), ("s", "slope", 2), ("c", "correlation", 2)):
            wide[f"{letter}{i}"] = mine[column].round(digits).to_numpy()
    return wide, names
