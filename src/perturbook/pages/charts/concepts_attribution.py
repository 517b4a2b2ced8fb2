"""Charts of the attribution page: genes, cutoffs and deletion curves of a concept that a menu picks."""

import altair as alt
import pandas as pd

from perturbook.pages.concepts_attribution_read import ARMS, Told, concepts
from perturbook.palette import BLUE, CATEGORY, GREY, VERMILLION

ORDERS = [
    "Attribution",
    "Gradient",
    "DE, active against inactive",
    "Removal instead of swap",
    "Expression level",
]
ORDERS += ["Random, like expression (mean of 20)"]
DASHES = [[1, 0], [6, 2], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3]]
CELLS = {"concept": "This concept", "controls": "Negative controls"}


def _menu(told: list[Told], first: int) -> alt.Parameter:
    names = [one.name for one in told]
    chosen = next(one.name for one in told if one.concept == first)
    return alt.param(name="concept", value=chosen, bind=alt.binding_select(options=names, name="Concept: "))


def gene_chart(rows: pd.DataFrame, concept: int, top: int = 20) -> alt.LayerChart:
    """First genes of a concept with standard errors over prototypes."""
    told = concepts(rows)
    made = pd.DataFrame(
        {
            "concept": one.name,
            "place": place + 1,
            "gene": gene,
            "score": round(row["relative"], 4),
            "low": round(row["relative"] - row["error"], 4),
            "high": round(row["relative"] + row["error"], 4),
        }
        for one in told
        for place, (gene, row) in enumerate(one.genes.head(top).iterrows())
    )
    pick = _menu(told, concept)
    y = alt.Y("gene:N", title="Gene, best first", sort=alt.EncodingSortField("place", order="ascending"))
    x = alt.X("low:Q", title="Relative change of the code, mean over prototypes, with standard error")
    base = alt.Chart(made).transform_filter(alt.datum.concept == pick)
    bars = base.mark_rule(color=BLUE).encode(x=x, x2="high:Q", y=y)
    points = base.mark_point(filled=True, size=70, color=BLUE, opacity=1).encode(
        x="score:Q", y=y, tooltip=["place", "gene", alt.Tooltip("score:Q", format=".3f")]
    )
    own = Told.of(rows, concept)
    return (
        alt.layer(bars, points)
        .add_params(pick)
        .properties(
            width="container",
            height=17 * top,
            description=f"Real cells: the first {top} genes of a concept that the menu picks, with the mean relative change of its code by "
            f"swapping the gene. {own.name}: {', '.join(own.genes.index[:8])}.",
        )
    )


def cutoff_chart(rows: pd.DataFrame, concept: int) -> alt.LayerChart:
    """Share of tested genes above every cutoff, of a concept and of its negative controls; 0.05 and the null cutoff marked."""
    told = concepts(rows)
    made = pd.concat(
        one.above.assign(concept=one.name, of=one.above["of"].map(CELLS), share=one.above["share"].round(5))
        for one in told
    )
    made = made[made["share"] > 0]
    marks = pd.DataFrame(
        {"concept": one.name, "cutoff": round(value, 5), "mark": mark}
        for one in told
        for mark, value in (("0.05, published", 0.05), ("99th percentile of the controls", one.null))
    )
    pick = _menu(told, concept)
    look = {"title": None, "legend": alt.Legend(orient="top", columns=1)}
    domain = list(CELLS.values())
    lines = (
        alt.Chart(made[["concept", "of", "cutoff", "genes", "share"]])
        .transform_filter(alt.datum.concept == pick)
        .mark_line(point=True)
        .encode(
            x=alt.X(
                "cutoff:Q", title="Cutoff on the relative change (log scale)", scale=alt.Scale(type="log")
            ),
            y=alt.Y("share:Q", title="Share of tested genes above (log scale)", scale=alt.Scale(type="log")),
            color=alt.Color("of:N", scale=alt.Scale(domain=domain, range=[BLUE, GREY]), **look),
            strokeDash=alt.StrokeDash(
                "of:N", scale=alt.Scale(domain=domain, range=[[1, 0], [4, 3]]), legend=None
            ),
            tooltip=["of", "cutoff", "genes", alt.Tooltip("share:Q", format=".4f")],
        )
    )
    rules = (
        alt.Chart(marks)
        .transform_filter(alt.datum.concept == pick)
        .mark_rule(color=VERMILLION, strokeWidth=1.5)
        .encode(
            x="cutoff:Q",
            strokeDash=alt.StrokeDash(
                "mark:N",
                scale=alt.Scale(domain=list(dict.fromkeys(marks["mark"])), range=[[2, 2], [8, 2]]),
                **look,
            ),
            tooltip=["mark", alt.Tooltip("cutoff:Q", format=".4f")],
        )
    )
    own = Told.of(rows, concept)
    return (
        alt.layer(lines, rules)
        .resolve_scale(strokeDash="independent")
        .add_params(pick)
        .properties(
            width="container",
            height=260,
            description="Real cells: share of tested genes whose mean relative change exceeds a cutoff, for a concept that the menu picks "
            f"and for its pooled negative controls. {own.name}: the 99th percentile of the controls is {own.null:.3f}; above 0.05 lie "
            f"{own.value('above', 'concept', '0.05'):.0f} genes.",
        )
    )


def deletion_chart(rows: pd.DataFrame, concept: int) -> alt.Chart:
    """What is left of the code when the first genes of an order are swapped at once."""
    told = concepts(rows)
    made = pd.concat(one.curves.assign(concept=one.name) for one in told)
    made = made[made["arm"].isin(ORDERS)].round({"left": 4})
    pick = _menu(told, concept)
    look = {"title": None, "legend": alt.Legend(orient="top", columns=2, labelLimit=320)}
    own = Told.of(rows, concept)
    said = "; ".join(f"{ARMS[arm]}: {value:.2f}" for arm, value in own.areas.items() if ARMS[arm] in ORDERS)
    return (
        alt.Chart(made)
        .transform_filter(alt.datum.concept == pick)
        .mark_line(point=True)
        .encode(
            x=alt.X("genes:Q", title="Genes swapped at once (log scale)", scale=alt.Scale(type="log")),
            y=alt.Y("left:Q", title="Share of the code that is left"),
            color=alt.Color("arm:N", scale=alt.Scale(domain=ORDERS, range=CATEGORY[: len(ORDERS)]), **look),
            strokeDash=alt.StrokeDash("arm:N", scale=alt.Scale(domain=ORDERS, range=DASHES), **look),
            tooltip=["arm", "genes", alt.Tooltip("left:Q", format=".3f")],
        )
        .add_params(pick)
        .properties(
            width="container",
            height=280,
            description="Real cells: share of the code that is left when the first genes of an order are swapped at once, mean over the "
            f"prototypes that did not decide the order; lower is better. The menu picks the concept. Areas, {own.name}: {said}.",
        )
    )
