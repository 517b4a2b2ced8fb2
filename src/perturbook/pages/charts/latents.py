"""Charts of the latents page: probes, program map, agreement between seeds, singular values. The graph is in `latents_graph.py`."""

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import HTML

from perturbook.pages.latents import Live
from perturbook.pages.latents_agreement import AGREE
from perturbook.pages.latents_compared import PAIRED, PERMUTED, agreement, names
from perturbook.pages.latents_tables import ABSENT, shown_effects
from perturbook.palette import BLUE, CATEGORY, GREY, SEQUENTIAL, VERMILLION

LABELS = ("Measured labels", "Permuted labels")
SHORT = {
    "latents": "Matched latents",
    "unmatched": "Latents not matched",
    "programs": "Programs",
    "edges": "Edges",
    "block": "Invariant latents",
}
"""Measure of `agreement` -> words on an axis."""


def probe_chart(live: Live | None) -> alt.LayerChart | HTML:
    """What is read from every representation of the seed trained here, over the interval of permuted truth."""
    if live is None:
        return ABSENT
    rows = pd.DataFrame(
        {
            "points": points,
            "target": target,
            "score": probe.score,
            "low": probe.interval().low,
            "high": probe.interval().high,
            "from": probe.bounds[0],
            "to": probe.bounds[1],
        }
        for (points, target), probe in live.probes.items()
        if not np.isnan(probe.score)
    ).round(4)
    targets, order = list(dict.fromkeys(rows["target"])), list(dict.fromkeys(rows["points"]))
    pick = alt.param(name="target", value=targets[0], bind=alt.binding_select(options=targets, name="Read: "))
    base = alt.Chart(rows).transform_filter(alt.datum.target == pick)
    y = alt.Y("points:N", title=None, sort=order, axis=alt.Axis(labelLimit=180))
    title = "Accuracy, or correlation"
    null = base.mark_bar(color=GREY, opacity=0.35, height=16).encode(
        x=alt.X("from:Q", title=title, axis=alt.Axis(tickCount=5, format=".1f")), x2="to:Q", y=y
    )
    bars = base.mark_rule(color=BLUE).encode(x="low:Q", x2="high:Q", y=y)
    tips = [
        "points",
        *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("score", "low", "high", "from", "to")),
    ]
    points = base.mark_point(filled=True, size=80, color=BLUE, opacity=1).encode(
        x="score:Q", y=y, tooltip=tips
    )
    said = "; ".join(
        f"{one}: {value:.2f}" for one, value in rows[rows["target"] == targets[0]][["points", "score"]].values
    )
    return (
        alt.layer(null, bars, points)
        .add_params(pick)
        .properties(
            width="container",
            height=36 * len(order),
            description="What a linear probe reads from latents and principal components of held-out real cells, with 95 % "
            f"intervals; grey, where permuted truth lies. The menu picks what is read. Perturbation: {said}.",
        )
    )


def program_chart(live: Live | None, rows: pd.DataFrame) -> alt.LayerChart:
    """Targets x latents, coloured by effect, a dot at the strongest latent of each target."""
    targets, effects = shown_effects(live, rows)
    called, program = names(targets, effects), effects.argmax(axis=1)
    order = [targets[k] for k in np.lexsort((-effects.max(axis=1), program))]
    cells = pd.DataFrame(
        {
            "target": target,
            "latent": called[j],
            "effect": round(float(effects[k, j]), 3),
            "strongest": bool(program[k] == j),
        }
        for k, target in enumerate(targets)
        for j in range(len(called))
    )
    x = alt.X(
        "latent:N",
        title="Responsive latent",
        sort=called,
        axis=alt.Axis(labelAngle=-45),
    )
    y = alt.Y("target:N", title="Activated gene", sort=order)
    base = alt.Chart(cells)
    squares = base.mark_rect(stroke="#88888855").encode(
        x=x,
        y=y,
        color=alt.Color(
            "effect:Q",
            title="Effect, control SD",
            scale=alt.Scale(scheme=SEQUENTIAL),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=["target", "latent", alt.Tooltip("effect:Q", format=".2f")],
    )
    dots = (
        base.transform_filter("datum.strongest")
        .mark_point(filled=True, size=50, color="white", stroke="black", strokeWidth=1, opacity=1)
        .encode(x=x, y=y, tooltip=["target", "latent", alt.Tooltip("effect:Q", format=".2f")])
    )
    most = np.unravel_index(effects.argmax(), effects.shape)
    return alt.layer(squares, dots).properties(
        width="container",
        height=20 * len(targets),
        description="Effect of every activated gene on every responsive latent in held-out real cells, in standard deviations of "
        f"control; a dot marks the strongest latent of each. The largest is {targets[most[0]]} on latent {most[1] + 1}: "
        f"{effects.max():.1f}.",
    )


def agreement_chart(rows: pd.DataFrame) -> alt.Chart:
    """Every pair of seeds with measured labels, and every permutation, for the three measures."""
    found = agreement(rows)
    points = pd.DataFrame(
        {"measure": SHORT[key], "labels": labels, "value": round(float(value), 4)}
        for key, one in found.items()
        for labels, values in zip(LABELS, (one.pairs, one.null), strict=True)
        for value in values
        if not np.isnan(value)
    )
    look = {"title": None, "legend": alt.Legend(orient="top", columns=1)}
    said = "; ".join(
        f"{AGREE[key]}: {np.nanmean(one.pairs):.2f} with measured labels, {np.nanmean(one.null):.2f} with permuted ones"
        for key, one in found.items()
    )
    return (
        alt.Chart(points)
        .mark_point(filled=True, size=70, opacity=0.8)
        .encode(
            x=alt.X("value:Q", title="Agreement of two seeds"),
            y=alt.Y("measure:N", title=None, sort=list(SHORT.values()), axis=alt.Axis(labelLimit=180)),
            yOffset=alt.YOffset("labels:N", sort=list(LABELS)),
            color=alt.Color(
                "labels:N", scale=alt.Scale(domain=list(LABELS), range=[BLUE, VERMILLION]), **look
            ),
            shape=alt.Shape(
                "labels:N", scale=alt.Scale(domain=list(LABELS), range=["circle", "square"]), **look
            ),
            tooltip=["measure", "labels", alt.Tooltip("value:Q", format=".3f")],
        )
        .properties(
            width="container", height=180, description=f"Agreement between trainings on real cells. {said}."
        )
    )


def singular_chart(rows: pd.DataFrame) -> alt.Chart:
    """Singular values of the fitted matrix of assumption (ii), a line per training, with measured and with permuted labels."""
    mine = rows[(rows["quantity"] == "singular value") & rows["arm"].isin([PAIRED, PERMUTED])]
    lines = pd.DataFrame(
        {
            "rank": mine["of"].astype(int),
            "value": mine["value"].astype(float),
            "labels": np.where(mine["draw"] > 0, LABELS[1], LABELS[0]),
            "training": "permutation " + mine["draw"].astype(str) + ", seed " + mine["seed"].astype(str),
        }
    )
    lines = lines[lines["value"] > 0]
    look = {"title": None, "legend": alt.Legend(orient="top", columns=1)}
    mean = lines.groupby(["labels", "rank"])["value"].mean()
    said = "; ".join(f"{one}: {mean[one].iloc[0]:.2f} to {mean[one].iloc[-1]:.3f}" for one in LABELS)
    return (
        alt.Chart(lines)
        .mark_line(strokeWidth=1.2, opacity=0.7)
        .encode(
            x=alt.X("rank:O", title="Rank of the singular value", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title="Singular value (log scale)", scale=alt.Scale(type="log")),
            detail="training:N",
            color=alt.Color("labels:N", scale=alt.Scale(domain=list(LABELS), range=CATEGORY[:2]), **look),
            strokeDash=alt.StrokeDash(
                "labels:N", scale=alt.Scale(domain=list(LABELS), range=[[1, 0], [4, 3]]), **look
            ),
            tooltip=["labels", "training", "rank", alt.Tooltip("value:Q", format=".3g")],
        )
        .properties(
            width="container",
            height=260,
            description="Singular values of the fitted matrix of the theorem's second assumption, largest to smallest, real cells; "
            f"means over trainings, first to last: {said}.",
        )
    )
