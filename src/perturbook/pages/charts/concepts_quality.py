"""Charts of the page on quality: explained variance against active concepts, the sweep, and what a probe reads from codes."""

import altair as alt
import pandas as pd

from perturbook.pages.concepts_arms import SAE, TITLES, WIDTH, K
from perturbook.pages.concepts_quality import DENSE, EMBEDDING
from perturbook.pages.concepts_quality_shown import wide
from perturbook.palette import BLUE, CATEGORY, GREY, VERMILLION

SWEPT = {
    ("ev", ""): "Explained variance",
    ("dead_eval", ""): "Share dead on test cells (dead_eval)",
    ("rare_eval", ""): "Share active in 1 to 9 test cells (rare_eval)",
    ("dead_train", ""): "Share dead in training (dead_train)",
    ("ami", "cell type"): "AMI, cell type",
    ("f1", "cell type"): "Mean F1 of the best concepts, cell type",
    ("macro_f1", "cell type"): "Probe for cell type, macro-F1",
}
"""What the menu of the sweep offers."""


def _menu(name: str, label: str, options: list[str]) -> alt.Parameter:
    return alt.param(name=name, value=options[0], bind=alt.binding_select(options=options, name=f"{label}: "))


def _legend(field: str, domain: list, title: str) -> dict:
    look = {"title": title, "legend": alt.Legend(orient="top", columns=3, labelLimit=200)}
    return {
        "color": alt.Color(f"{field}:N", scale=alt.Scale(domain=domain, range=CATEGORY), **look),
        "shape": alt.Shape(f"{field}:N", scale=alt.Scale(domain=domain), **look),
    }


def fidelity_chart(rows: pd.DataFrame) -> alt.Chart:
    """Explained variance of test cells against the mean number of active concepts; a menu picks the data set."""
    found = wide(rows)[[("ev", ""), ("l0", "")]].droplevel("of", axis=1).reset_index()
    found = found[(found["k"] != DENSE) & ((found["arm"] != SAE) | (found["n_latents"] == WIDTH))]
    found = found.assign(arm=found["arm"].map(TITLES)).round(4)
    order, names = list(dict.fromkeys(found["arm"])), list(dict.fromkeys(found["data"]))
    pick = _menu("data", "Data set", names)
    ends = "; ".join(
        f"{arm} {part['ev'].iloc[-1]:.2f}"
        for arm, part in found[found["data"] == names[0]].groupby("arm", sort=False)
    )
    return (
        alt.Chart(found)
        .transform_filter(alt.datum.data == pick)
        .mark_line(point=True, clip=True)
        .encode(
            x=alt.X("l0:Q", title="Active concepts per cell, L0 (log scale)", scale=alt.Scale(type="log")),
            y=alt.Y("ev:Q", title="Explained variance of test cells", scale=alt.Scale(domain=[0, 1])),
            **_legend("arm", order, "Dictionary"),
            tooltip=["arm", "n_latents", "k", alt.Tooltip("ev:Q", format=".3f")],
        )
        .add_params(pick)
        .properties(
            width="container",
            height=320,
            description="Explained variance of test cells against active concepts per cell, one line per dictionary; values "
            f"below 0 are cut off. With most active concepts on {names[0]}: {ends}.",
        )
    )


def sweep_chart(rows: pd.DataFrame) -> alt.Chart:
    """One measure of the autoencoder against K, a line per width; menus pick the measure and the data set."""
    found = wide(rows).xs(SAE, level="arm")
    tall = pd.concat(
        [found[key].rename("value").reset_index().assign(measure=title) for key, title in SWEPT.items()]
    ).round(4)
    tall["width"] = tall["n_latents"].astype(str)
    names, widths = list(dict.fromkeys(tall["data"])), list(dict.fromkeys(tall["width"]))
    which, pick = _menu("measure", "Measure", list(SWEPT.values())), _menu("data", "Data set", names)
    evs = tall[(tall["data"] == names[0]) & (tall["measure"] == "Explained variance")]["value"]
    return (
        alt.Chart(tall[["data", "width", "k", "measure", "value"]])
        .transform_filter((alt.datum.data == pick) & (alt.datum.measure == which))
        .mark_line(point=True)
        .encode(
            x=alt.X(
                "k:Q", title="K, concepts active per cell (log scale)", scale=alt.Scale(type="log", base=2)
            ),
            y=alt.Y("value:Q", title="Value of the measure (of the menu)", scale=alt.Scale(domain=[0, 1])),
            **_legend("width", widths, "Concepts, m"),
            tooltip=["width", "k", "measure", alt.Tooltip("value:Q", format=".3f")],
        )
        .add_params(which, pick)
        .properties(
            width="container",
            height=280,
            description="A measure of the autoencoder against the number of active concepts, one line per number of concepts; "
            f"menus pick measure and data set. Explained variance on {names[0]}: {evs.min():.2f} to {evs.max():.2f}.",
        )
    )


def power_chart(rows: pd.DataFrame) -> alt.LayerChart:
    """Macro-F1 of the probe per dictionary, sparse and dense, with intervals over test cells; menus pick data set and label."""
    found = rows[(rows["quantity"] == "macro_f1") & rows["k"].isin([K, DENSE])]
    found = found[(found["arm"] != SAE) | (found["n_latents"] == WIDTH)]
    itself = found["arm"] == EMBEDDING
    kept = {DENSE: "every positive concept", K: f"{K} concepts"}
    shown = found[~itself].assign(kept=found["k"].map(kept), arm=found["arm"].map(TITLES))
    names, labels = list(dict.fromkeys(found["data"])), list(dict.fromkeys(found["of"]))
    order = list(dict.fromkeys(shown["arm"]))
    which, pick = _menu("label", "Label", labels), _menu("data", "Data set", names)
    chosen = (alt.datum.data == pick) & (alt.datum.of == which)
    look = {"title": "Kept per cell", "legend": alt.Legend(orient="top")}
    domain = [kept[K], kept[DENSE]]
    columns = ["data", "of", "arm", "kept", "value", "low", "high"]
    base = (
        alt.Chart(shown[columns].round(4))
        .transform_filter(chosen)
        .encode(
            y=alt.Y("arm:N", title="Dictionary", sort=order),
            yOffset=alt.YOffset("kept:N", sort=domain),
            color=alt.Color("kept:N", scale=alt.Scale(domain=domain, range=[BLUE, VERMILLION]), **look),
        )
    )
    bars = base.mark_rule().encode(x=alt.X("low:Q", title="Macro-F1 on test cells"), x2="high:Q")
    points = base.mark_point(filled=True, size=60).encode(
        x="value:Q",
        shape=alt.Shape("kept:N", scale=alt.Scale(domain=domain), **look),
        tooltip=["arm", "kept", *(alt.Tooltip(one, format=".3f") for one in ("value", "low", "high"))],
    )
    line = (
        alt.Chart(found[itself][["data", "of", "value"]].round(4))
        .transform_filter(chosen)
        .mark_rule(strokeDash=[5, 4], strokeWidth=2, color=GREY)
        .encode(x="value:Q", tooltip=[alt.Tooltip("value:Q", format=".3f", title="embedding itself")])
    )
    first = shown[(shown["data"] == names[0]) & (shown["of"] == labels[0]) & (shown["k"] == K)]
    said = "; ".join(f"{row.arm} {row.value:.2f}" for row in first.itertuples())
    return (
        alt.layer(line, bars, points)
        .add_params(which, pick)
        .properties(
            width="container",
            height=40 * len(order),
            description="Macro-F1 of a linear probe on the codes of each dictionary, sparse and with every positive concept, with 95 "
            f"percent intervals over test cells; the dashed line is the embedding itself. {names[0]}, {labels[0]}, sparse: {said}.",
        )
    )
