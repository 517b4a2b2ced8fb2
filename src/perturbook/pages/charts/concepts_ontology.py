"""Charts of the page on ontology: a running sum, annotated shares beside their nulls, agreement of attribution and DE."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import HTML

from perturbook.pages.concepts_ontology import ARMS, TESTS, Compared, Live
from perturbook.pages.concepts_ontology_findings import QUANTITIES, called
from perturbook.pages.concepts_ontology_tables import ABSENT
from perturbook.palette import BLUE, GREY, VERMILLION

LABELS = ("Measured labels", "Permuted labels")


def running_chart(live: Live | None) -> alt.LayerChart | HTML:
    """The running sum of the first set by NES along the ranking, and the places of its genes."""
    if live is None:
        return ABSENT
    term = live.made.table.index[0]
    path, places = live.path(term), live.places(term)
    peak = int(np.abs(path).argmax())
    line = pd.DataFrame({"rank": np.arange(1, len(path) + 1), "sum": path.round(4)})
    kept = np.unique(np.r_[0, places, np.maximum(places - 1, 0), len(path) - 1])  # straight in between
    genes = pd.DataFrame(
        {
            "rank": places + 1,
            "gene": np.array(live.ranking.genes)[places],
            "score": live.ranking.scores[places],
            "sum": path[places].round(4),
        }
    )
    x = alt.X(
        "rank:Q", title="Rank of the gene by attribution", scale=alt.Scale(domain=[1, len(path)], nice=False)
    )
    y = alt.Y("sum:Q", title="Running sum")
    tips = ["gene", "rank", alt.Tooltip("score:Q", format=".4f"), alt.Tooltip("sum:Q", format=".3f")]
    return alt.layer(
        alt.Chart(line.iloc[kept]).mark_line(color=BLUE).encode(x=x, y=y),
        alt.Chart(genes)
        .mark_point(filled=True, size=45, color=VERMILLION, opacity=1)
        .encode(x=x, y=y, tooltip=tips),
        alt.Chart(pd.DataFrame({"sum": [0.0]})).mark_rule(color=GREY, strokeDash=[4, 3]).encode(y=y),
    ).properties(
        width="container",
        height=240,
        description=f"Running sum of {term} along the ranking of concept {live.concept} by attribution, a point at each of its "
        f"{len(places)} genes. Its value of largest size, {path[peak]:.2f}, is reached at rank {peak + 1} of {len(path)}.",
    )


def share_chart(every: Sequence[Compared]) -> alt.LayerChart | HTML:
    """Share of annotated concepts, a point, over the interval of its matched null, a bar."""
    if not every:
        return ABSENT
    rows = []
    for one in every:
        for test, how in TESTS.items():
            for arm, title in ARMS.items():
                low, high = np.percentile(one.null(test, arm), [2.5, 97.5])
                of = {"of": f"{called(one)}, {how.lower()}", "arm": title, "share": one.share(test, arm)}
                rows.append(of | {"low": low, "high": high, "null": one.null(test, arm).mean()})
    points = pd.DataFrame(rows).round(4)
    order, arms = list(dict.fromkeys(points["of"])), list(ARMS.values())
    base = alt.Chart(points)
    y = {
        "y": alt.Y("of:N", title=None, sort=order, axis=alt.Axis(labelLimit=240)),
        "yOffset": alt.YOffset("arm:N", sort=arms),
    }
    x = alt.X(
        "low:Q",
        title="Concepts with a significant set",
        axis=alt.Axis(format="%"),
        scale=alt.Scale(domain=[0, 1]),
    )
    look = {"title": None, "legend": alt.Legend(orient="top")}
    tips = ["of", "arm", *(alt.Tooltip(f"{one}:Q", format=".0%") for one in ("share", "null", "low", "high"))]
    null = base.mark_bar(color=GREY, opacity=0.4, height=10).encode(x=x, x2="high:Q", **y)
    middle = base.mark_tick(color=GREY, thickness=2, size=14).encode(x="null:Q", **y)
    own = base.mark_point(filled=True, size=90, opacity=1).encode(
        x="share:Q",
        color=alt.Color("arm:N", scale=alt.Scale(domain=arms, range=[BLUE, VERMILLION]), **look),
        shape=alt.Shape("arm:N", scale=alt.Scale(domain=arms, range=["circle", "square"]), **look),
        tooltip=tips,
        **y,
    )
    said = "; ".join(
        f"{row.of}, {row.arm}: {row.share:.0%}, null {row.null:.0%}" for row in points.itertuples()
    )
    return alt.layer(null, middle, own).properties(
        width="container",
        height=60 * len(order),
        description=f"Share of concepts with at least one significant gene set; grey, 95 % of the matched null and its mean. {said}.",
    )


def agreement_chart(one: Compared | None) -> alt.Chart | HTML:
    """Every concept: how alike attribution and DE are, and attribution and DE of permuted labels."""
    if one is None:
        return ABSENT
    rows = []
    for labels, found in (
        (LABELS[0], [(concept, made) for concept, made in one.agreed.items()]),
        (LABELS[1], [(concept, made) for concept, every in one.permuted.items() for made in every]),
    ):
        for concept, made in found:
            for key, words in QUANTITIES.items():
                if not np.isnan(value := getattr(made, key)):
                    rows.append({"concept": concept, "labels": labels, "of": words, "value": round(value, 4)})
    points = pd.DataFrame(rows)
    median = points.groupby(["of", "labels"])["value"].median()
    said = "; ".join(f"{of}, {labels.lower()}: median {value:.2f}" for (of, labels), value in median.items())
    look = {"title": None, "legend": alt.Legend(orient="top")}
    return (
        alt.Chart(points)
        .mark_point(filled=True, size=45, opacity=0.6)
        .encode(
            x=alt.X(
                "value:Q",
                title="Spearman correlation, of significant sets Jaccard index",
                scale=alt.Scale(domain=[-1, 1]),
            ),
            y=alt.Y("of:N", title=None, sort=list(QUANTITIES.values()), axis=alt.Axis(labelLimit=180)),
            yOffset=alt.YOffset("labels:N", sort=list(LABELS)),
            color=alt.Color(
                "labels:N", scale=alt.Scale(domain=list(LABELS), range=[BLUE, VERMILLION]), **look
            ),
            shape=alt.Shape(
                "labels:N", scale=alt.Scale(domain=list(LABELS), range=["circle", "square"]), **look
            ),
            tooltip=["concept", "labels", "of", alt.Tooltip("value:Q", format=".2f")],
        )
        .properties(
            width="container",
            height=200,
            description=f"Agreement of attribution and DE over concepts, {called(one)}, a point per concept and labelling. {said}.",
        )
    )
