"""Chart of the page on annotations: agreement, kappa and PABAK of every comparison, with intervals."""

import altair as alt
import pandas as pd

from perturbook.pages.explorer_annotations import Study, between_annotators, within_annotators
from perturbook.palette import BLUE, GREY, VERMILLION

MEASURES = {"share": "Agreement", "kappa": "Kappa", "pabak": "PABAK"}


def agreement_chart(study: Study) -> alt.LayerChart:
    """A point per measure over its interval, comparisons one below the other; what is undefined has no point."""
    compared = between_annotators(study) + within_annotators(study)
    rows = pd.DataFrame(
        [
            {"what": f"{one.who}, pass {one.pass_}", "measure": title, "items": one.found.items}
            | {part: getattr(getattr(one.found, name), part) for part in ("value", "low", "high")}
            for one in compared
            for name, title in MEASURES.items()
        ],
        columns=["what", "measure", "items", "value", "low", "high"],
    ).round(4)
    synthetic = "Synthetic annotations" if study.synthetic else "Annotations"
    domain, order = list(MEASURES.values()), list(dict.fromkeys(rows["what"]))
    look = {"title": "Measure", "legend": alt.Legend(orient="top")}
    y = {
        "y": alt.Y("what:N", title=f"{synthetic} compared", sort=order),
        "yOffset": alt.YOffset("measure:N", sort=domain),
    }
    color = alt.Color(
        "measure:N", scale=alt.Scale(domain=domain, range=[GREY, VERMILLION, BLUE]), sort=domain, **look
    )
    x = alt.X("value:Q", title="Agreement, kappa or PABAK", scale=alt.Scale(domain=[-1, 1]))
    tips = [
        "what:N",
        "measure:N",
        "items:Q",
        *(alt.Tooltip(f"{one}:Q", format=".2f") for one in ("value", "low", "high")),
    ]
    defined = rows.dropna(subset="value")
    bars = (
        alt.Chart(defined.dropna(subset="low"))
        .mark_rule(strokeWidth=2)
        .encode(x=alt.X("low:Q"), x2="high:Q", color=color, **y)
    )
    points = (
        alt.Chart(defined)
        .mark_point(filled=True, size=70)
        .encode(
            x=x,
            color=color,
            shape=alt.Shape("measure:N", scale=alt.Scale(domain=domain), **look),
            tooltip=tips,
            **y,
        )
    )
    words = "; ".join(f"{row.what}: {row.measure} {row.value:.2f}" for row in defined.itertuples(index=False))
    return alt.layer(bars, points).properties(
        width="container",
        height=max(60, 60 * len(order)),
        title=f"{synthetic}: is the feature interpretable?",
        description=f"{synthetic}: agreement, kappa and PABAK on whether a feature is interpretable, each with its 95 % interval over "
        f"items. {words or 'Nothing was compared'}.",
    )
