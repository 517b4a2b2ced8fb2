"""Charts of the positive control: how well concepts separate, what genes come first, planted programs found."""

import altair as alt
import numpy as np
import pandas as pd

from perturbook.concepts.encoder_of import BACKBONES
from perturbook.pages.concepts_control import AUROC, hits
from perturbook.pages.concepts_control_read import CONCEPTS, PLACES, PROBE, TITLES, all_of, class_of
from perturbook.pages.planted_programs import ARMS
from perturbook.pages.planted_programs_deposit import compared
from perturbook.palette import BLUE, CATEGORY, GREEN, GREY, VERMILLION

SHAPES = ["circle", "square", "triangle-up", "diamond", "cross"]
CLASSES = ("Panel", "Hallmark set only", "Other")
SHOWN = 30


def separation_chart(rows: pd.DataFrame) -> alt.LayerChart:
    """AUROC of the concept of every arm on every part of the cells, by a menu of backbones."""
    made = pd.DataFrame(
        {
            "backbone": BACKBONES[name],
            "concept": PROBE if arm == "probe" else TITLES[arm].split(",")[0],
            "cells": PLACES.get(of, f"Test cells, {of}"),
            "auroc": round(value, 4),
        }
        for name, came in all_of(rows).items()
        for arm in (*CONCEPTS, "probe")
        for of, value in came.values(arm, "auroc").items()
        if not np.isnan(value)
    )
    cells, arms = list(dict.fromkeys(made["cells"])), list(dict.fromkeys(made["concept"]))
    names = list(dict.fromkeys(made["backbone"]))
    pick = alt.param(
        name="backbone", value=names[0], bind=alt.binding_select(options=names, name="Backbone: ")
    )
    look = {"title": "Concept of", "legend": alt.Legend(orient="top", columns=2)}
    points = (
        alt.Chart(made)
        .transform_filter(alt.datum.backbone == pick)
        .mark_point(filled=True, size=80, opacity=0.9)
        .encode(
            x=alt.X("auroc:Q", title="AUROC, stimulated against control", scale=alt.Scale(zero=False)),
            y=alt.Y("cells:N", title=None, sort=cells, axis=alt.Axis(labelLimit=220)),
            color=alt.Color("concept:N", scale=alt.Scale(domain=arms, range=CATEGORY[: len(arms)]), **look),
            shape=alt.Shape("concept:N", scale=alt.Scale(domain=arms, range=SHAPES[: len(arms)]), **look),
            tooltip=["concept", "cells", alt.Tooltip("auroc:Q", format=".3f")],
        )
    )
    rule = (
        alt.Chart(pd.DataFrame({"mark": [AUROC]})).mark_rule(strokeDash=[4, 3], color=GREY).encode(x="mark:Q")
    )
    said = "; ".join(
        f"{one.backbone}, {one.concept}: {one.auroc:.3f}"
        for one in made[made["cells"] == PLACES["test"]].itertuples()
    )
    return (
        alt.layer(rule, points)
        .add_params(pick)
        .properties(
            width="container",
            height=28 * len(cells),
            description=f"Real cells: AUROC of the concept that validation cells chose, for every arm and every part of the cells; "
            f"dashed, the pass mark of {AUROC:.2f}. The menu picks the backbone. Test cells: {said}.",
        )
    )


def gene_chart(rows: pd.DataFrame) -> alt.Chart:
    """The first genes of every ranking, marked by what they are to the control, by a menu."""
    made = pd.DataFrame(
        {
            "ranking": f"{BACKBONES[name]}: {title}",
            "place": place + 1,
            "gene": gene,
            "score": float(f"{value:.4g}"),
            "class": class_of(gene, came.sets),
        }
        for name, came in all_of(rows).items()
        for arm, title in TITLES.items()
        for place, (gene, value) in enumerate(came.values(arm, "score").head(SHOWN).items())
    )
    names = list(dict.fromkeys(made["ranking"]))
    pick = alt.param(
        name="ranking", value=names[0], bind=alt.binding_select(options=names, name="Ranked by: ")
    )
    look = {"title": None, "legend": alt.Legend(orient="top")}
    first = all_of(rows)[next(iter(BACKBONES))]
    found = hits(first.ranked("sae"), first.sets, SHOWN)
    return (
        alt.Chart(made)
        .transform_filter(alt.datum.ranking == pick)
        .mark_point(filled=True, size=80, opacity=1)
        .encode(
            x=alt.X("score:Q", title="Score: relative change of the code, or signed -log10 p of DE"),
            y=alt.Y(
                "gene:N", title="Gene, best first", sort=alt.EncodingSortField("place", order="ascending")
            ),
            color=alt.Color(
                "class:N", scale=alt.Scale(domain=list(CLASSES), range=[VERMILLION, BLUE, GREY]), **look
            ),
            shape=alt.Shape("class:N", scale=alt.Scale(domain=list(CLASSES), range=SHAPES[:3]), **look),
            tooltip=["place", "gene", "class", alt.Tooltip("score:Q", format=".3g")],
        )
        .add_params(pick)
        .properties(
            width="container",
            height=16 * SHOWN,
            description=f"Real cells: the first {SHOWN} genes of a ranking that the menu picks. {names[0]}: {found['panel']} are of the "
            f"panel, {found['hallmark']} of the Hallmark set.",
        )
    )


def planted_chart(worlds: pd.DataFrame) -> alt.LayerChart:
    """AUPRC of every planted program by arm, with means and intervals, one row per degree of going together."""
    own = worlds[worlds["quantity"] == "auprc"]
    points = own.assign(
        arm=own["arm"].map(ARMS), share=[f"{one:.0%} of switches shared" for one in own["together"]]
    )
    order = list(ARMS.values())
    means = []
    for (share, of), _ in own.groupby(["together", "arm"]):
        one = compared(worlds[worlds["together"] == share], of).other
        means.append(
            {
                "share": f"{share:.0%} of switches shared",
                "arm": ARMS[of],
                "mean": one.mean,
                "low": one.low,
                "high": one.high,
            }
        )
    means = pd.DataFrame(means).round(4)
    shares = list(dict.fromkeys(points["share"]))
    pick = alt.param(
        name="share", value=shares[0], bind=alt.binding_select(options=shares, name="Programs: ")
    )
    y = alt.Y("arm:N", title=None, sort=order, axis=alt.Axis(labelLimit=260))
    x = {"title": "AUPRC of the planted genes", "scale": alt.Scale(domain=[0, 1])}
    dots = (
        alt.Chart(points[["share", "arm", "value", "seed", "program"]])
        .transform_filter(alt.datum.share == pick)
        .mark_tick(color=GREY, opacity=0.6, thickness=1.5)
        .encode(
            x=alt.X("value:Q", **x), y=y, tooltip=["seed", "program", alt.Tooltip("value:Q", format=".3f")]
        )
    )
    base = alt.Chart(means).transform_filter(alt.datum.share == pick)
    bars = base.mark_rule(color=BLUE, strokeWidth=2).encode(x=alt.X("low:Q", **x), x2="high:Q", y=y)
    mid = base.mark_point(filled=True, size=80, color=GREEN, shape="diamond", opacity=1).encode(
        x=alt.X("mean:Q", **x),
        y=y,
        tooltip=["arm", *(alt.Tooltip(f"{n}:Q", format=".3f") for n in ("mean", "low", "high"))],
    )
    said = "; ".join(f"{one.share}, {one.arm}: {one.mean:.2f}" for one in means.itertuples())
    return (
        alt.layer(dots, bars, mid)
        .add_params(pick)
        .properties(
            width="container",
            height=38 * len(order),
            description="Simulated cells: AUPRC of the planted genes of every program (ticks), mean (diamond) and 95 % interval over "
            f"worlds (line), by what ranks the genes. The menu picks how often programs are switched together. {said}.",
        )
    )
