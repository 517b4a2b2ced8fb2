"""Predicted against observed change of the genes of one condition, on a setting page."""

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from perturbook.evaluation import CEILINGS, summarise
from perturbook.evaluation.view import view
from perturbook.evaluation.withheld import withheld
from perturbook.pages.present import MAIN, in_words, label
from perturbook.pages.study import Study
from perturbook.palette import CATEGORY

N_CONDITIONS, N_GENES = 24, 40


def change_table(study: Study) -> pd.DataFrame:
    """Observed and predicted change of the most changed genes, for up to 24 conditions spread over the page, and up to three predictors."""
    truth = study.bundle.truth
    order = np.linspace(0, len(truth.obs) - 1, min(N_CONDITIONS, len(truth.obs))).round().astype(int)
    shown = [p for p in study.bundle.predictions if p.mean is not None and p.name in _compared(study)]
    rows = []
    for model in shown:
        v = view(truth, model)
        for i in dict.fromkeys(order):
            genes = truth.deg["test_truth"][i][:N_GENES]
            frame = {
                "gene": truth.genes[genes],
                "rank": np.arange(1, len(genes) + 1),
                "observed": (v.y - v.mu0)[i, genes].round(4),
                "predicted": (v.yhat - v.mu0)[i, genes].round(4),
            }
            rows.append(
                pd.DataFrame(frame).assign(
                    condition=in_words(truth.obs.iloc[i]),
                    predictor=label(study, model.name, model.mode),
                )
            )
    return pd.concat(rows, ignore_index=True)


def _compared(study: Study) -> list[str]:
    """Mean of training, and the best opponent or other floor, and the oracle where there is one."""
    rows = summarise(study.scores[study.scores["metric"] == MAIN], n=10)
    rows = rows[
        rows["mean"].notna() & ~rows["method"].isin([*CEILINGS, "mean_train", "shifted_controls", "oracle"])
    ]
    best = rows.sort_values("mean", ascending=False)["method"].drop_duplicates().head(1).tolist()
    return ["mean_train", *best, "oracle"]


def change_chart(study: Study) -> alt.LayerChart | Markdown:
    """Predicted against observed change of the most changed genes, for the condition the reader picks."""
    if withheld(study.bundle.truth):
        return Markdown(
            "The measured profiles of this page are not deposited with the project: build it with its data to see this chart."
        )
    unit = study.bundle.truth.facts["scale"]
    table = change_table(study)
    conditions, predictors = list(dict.fromkeys(table["condition"])), list(dict.fromkeys(table["predictor"]))
    strongest = (table["observed"] ** 2).groupby(table["condition"]).mean().idxmax()
    pick = alt.param(
        name="condition", value=strongest, bind=alt.binding_select(options=conditions, name="Condition: ")
    )
    slider = alt.binding_range(min=5, max=N_GENES, step=5, name="Most changed genes: ")
    top = alt.param(name="top", value=N_GENES, bind=slider)
    look = {"title": "Predictor", "legend": alt.Legend(orient="top")}
    points = (
        alt.Chart(table)
        .mark_point(size=55, filled=True, opacity=0.8)
        .encode(
            x=alt.X("observed:Q", title=f"Observed change ({unit})"),
            y=alt.Y("predicted:Q", title=f"Predicted change ({unit})"),
            color=alt.Color("predictor:N", scale=alt.Scale(domain=predictors, range=CATEGORY), **look),
            shape=alt.Shape("predictor:N", scale=alt.Scale(domain=predictors), **look),
            tooltip=[
                "gene",
                "predictor",
                alt.Tooltip("observed:Q", format=".2f"),
                alt.Tooltip("predicted:Q", format=".2f"),
            ],
        )
        .transform_filter((alt.datum.condition == pick) & (alt.datum.rank <= top))
    )
    ends = pd.DataFrame({"at": [min(table["observed"].min(), 0.0), table["observed"].max()]})
    line = alt.Chart(ends).mark_line(strokeDash=[4, 4], color="#888888").encode(x="at:Q", y="at:Q")
    return (
        alt.layer(line, points)
        .add_params(pick, top)
        .properties(
            width="container",
            height=340,
            description="Predicted against observed change of the most changed genes of the condition picked in the menu, as many as the slider says; the dashed line marks a perfect prediction.",
        )
    )
