"""The graph of responsive latents: nodes in the order that the model fixes, edges as arcs, a slider for the threshold."""

import json

import altair as alt
import numpy as np
import pandas as pd

from perturbook.evaluation.stability import SURE
from perturbook.pages.latents_compared import PAIRED, names
from perturbook.pages.latents_deposit import ensemble
from perturbook.pages.latents_findings import THRESHOLD
from perturbook.pages.latents_tables import shown_effects
from perturbook.palette import BLUE, GREY, VERMILLION

KINDS = {"control": "at control", "averaged": "averaged over u"}
STEPS = 31
MOST = 0.6
"""Largest threshold of the slider."""


def edges_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Edges of seed 0, with how strong each is in every seed once latents are matched.

    Returns:
        Columns kind, cause, effect (latents from 1), weight (standardised, of seed 0), and s0, s1, ...: the absolute weight
        of the same edge, in the same direction, in every seed.
    """
    made = []
    for kind, words in KINDS.items():
        found = ensemble(rows, PAIRED, kind)
        matched = np.abs(found.matched_edges())
        for i, j in zip(*np.tril_indices(found.edges.shape[1], -1), strict=True):
            strength = {f"s{seed}": round(float(w[i, j]), 3) for seed, w in enumerate(matched)}
            made.append(
                {"kind": words, "cause": j + 1, "effect": i + 1, "weight": found.edges[0, i, j], **strength}
            )
    return pd.DataFrame(made)


def graph_chart(rows: pd.DataFrame) -> alt.LayerChart:
    """Arcs from cause down to effect; grey below 80 % of seeds, dashed where negative; text where no edge is left."""
    edges, (targets, effects) = edges_of(rows), shown_effects(None, rows)
    called = names(targets, effects)
    seeds = [column for column in edges if column.startswith("s") and column[1:].isdigit()]
    slider = alt.binding_range(min=0, max=MOST, step=0.01, name="Threshold: ")
    threshold = alt.param(name="threshold", value=THRESHOLD, bind=slider)
    kind = alt.param(
        name="kind",
        value=KINDS["control"],
        bind=alt.binding_select(options=list(KINDS.values()), name="Edges: "),
    )
    share = "(" + " + ".join(f"(datum.{s} > threshold)" for s in seeds) + f") / {len(seeds)}"
    arcs = (
        alt.Chart(_arcs(edges))
        .transform_filter("datum.kind == kind && datum.s0 > threshold")
        .transform_calculate(
            share=share,
            look=f"{share} < {SURE} ? 'below {SURE:.0%} of seeds' : (datum.weight > 0 ? 'positive' : 'negative')",
            sign="datum.weight > 0 ? 'positive' : 'negative'",
        )
    )
    grey = f"below {SURE:.0%} of seeds"
    lines = arcs.mark_line().encode(
        x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.03, 1.05])),
        y=_y(called),
        order="step:Q",
        detail="edge:N",
        color=alt.Color(
            "look:N",
            title="Edge",
            scale=alt.Scale(domain=["positive", "negative", grey], range=[BLUE, VERMILLION, GREY]),
            legend=alt.Legend(orient="top", columns=1),
        ),
        strokeDash=alt.StrokeDash(
            "sign:N", scale=alt.Scale(domain=["positive", "negative"], range=[[1, 0], [6, 4]]), legend=None
        ),
        strokeWidth=alt.StrokeWidth("s0:Q", scale=alt.Scale(domain=[0, MOST], range=[1, 6]), legend=None),
        tooltip=[
            "edge",
            alt.Tooltip("weight:Q", format=".2f"),
            alt.Tooltip("share:Q", format=".0%", title="of seeds"),
        ],
    )
    nodes = alt.Chart(pd.DataFrame({"name": called, "x": 0.0, "y": range(1, len(called) + 1)}))
    circles = nodes.mark_point(filled=True, size=120, color=GREY, opacity=1).encode(x="x:Q", y=_y(called))
    empty = (
        alt.Chart(edges.groupby("kind")["s0"].max().reset_index().assign(x=0.2, y=(len(called) + 1) / 2))
        .transform_filter("datum.kind == kind && datum.s0 <= threshold")
        .transform_calculate(
            said="[datum.kind + ': no edge above ' + format(threshold, '.2f'), 'the largest is ' + format(datum.s0, '.2f')]"
        )
        .mark_text(align="left", fontSize=12)
        .encode(x="x:Q", y=_y(called), text="said:N")
    )
    counts = edges[edges["s0"] > THRESHOLD].groupby("kind").size()
    largest = edges.groupby("kind")["s0"].max()
    said = "; ".join(
        f"{k}: {counts.get(k, 0)} edges above {THRESHOLD}, the largest {largest[k]:.2f}"
        for k in KINDS.values()
    )
    return (
        alt.layer(lines, circles, empty)
        .add_params(threshold, kind)
        .properties(
            width="container",
            height=52 * len(called),
            description=f"Graph of the responsive latents of seed 0 on real cells, from top to bottom in the order that the model fixes. {said}.",
        )
    )


def _y(called: list[str]) -> alt.Y:
    """Positions from 1 at the top, with the names of the latents as labels, for which a chart makes room."""
    size = len(called)
    axis = alt.Axis(
        values=list(range(1, size + 1)),
        labelExpr=f"{json.dumps(called)}[datum.value - 1]",
        **{"grid": False, "domain": False, "ticks": False, "title": None},
    )
    return alt.Y("y:Q", axis=axis, scale=alt.Scale(domain=[size + 0.5, 0.5], nice=False))


def _arcs(edges: pd.DataFrame) -> pd.DataFrame:
    """Every edge as a half ellipse from its cause at the top to its effect below, `STEPS` points each."""
    turn = np.linspace(0, 1, STEPS)
    parts = []
    most = (edges["effect"] - edges["cause"]).max()
    for row in edges.to_dict("records"):
        span = row["effect"] - row["cause"]
        points = {
            "x": np.sin(np.pi * turn) * span / most,
            "y": row["cause"] + span * (1 - np.cos(np.pi * turn)) / 2,
        }
        name = f"{row['cause']} to {row['effect']}"
        parts.append(pd.DataFrame({**points, "step": range(STEPS), "edge": name, **row}).round(3))
    return pd.concat(parts, ignore_index=True)
