"""Charts of pre-training: the curve beside the predictors it has to beat, and errors by data set."""

import altair as alt
import pandas as pd

from perturbook.pages.charts.scores import told_apart
from perturbook.palette import BLUE, GREEN, GREY, PURPLE, VERMILLION

LOOK = {
    "the model": BLUE,
    "mean over all genes": GREY,
    "mean of the gene": VERMILLION,
    "mean of the gene in the cell type": PURPLE,
    "random ties alone": GREEN,
}
MARKED = ("mean of the gene", "mean of the gene in the cell type", "random ties alone")


def curve(found: pd.DataFrame, scores: pd.DataFrame) -> alt.LayerChart:
    """Draw error against step for training batches and held-out cells, with a dashed line per predictor to beat.

    Args:
        found: from `foundations_pretraining.curve`.
        scores: from `foundations_pretraining.scores`.
    """
    marked = scores[(scores["dataset"] == "all") & scores["title"].isin(MARKED)]
    parts = {"training batches": GREY, "held-out cells": BLUE}
    look = told_apart("part", parts, title="Model on")
    y = alt.Y("value:Q", title="mean squared error (squared bins)", scale=alt.Scale(zero=True))
    base = alt.Chart(found[["step", "part", "value"]])
    lines = base.mark_line(opacity=0.9).encode(
        x=alt.X("step:Q", title="training step"),
        y=y,
        color=look["color"],
    )
    points = (
        base.transform_filter(alt.datum.part == "held-out cells")
        .mark_point(filled=True)
        .encode(
            x="step:Q",
            y="value:Q",
            color=look["color"],
            tooltip=["part", "step", alt.Tooltip("value", format=".1f")],
        )
    )
    rules = (
        alt.Chart(marked[["title", "value"]])
        .mark_rule(strokeDash=[5, 4], strokeWidth=1.5)
        .encode(y="value:Q", tooltip=["title", alt.Tooltip("value", format=".1f")])
    )
    words = (
        alt.Chart(marked[["title", "value"]].assign(step=found["step"].max()))
        .mark_text(align="right", dy=9)
        .encode(x="step:Q", y="value:Q", text="title:N")
    )
    return (rules + lines + points + words).properties(
        width="container",
        height=320,
        description="Error of the model at hidden genes against training steps, on training batches and on held-out cells. "
        "Dashed lines are predictors without any network: the mean bin of a gene, the mean bin of a gene in the cell type, "
        "and the error that random ties alone leave to a perfect predictor.",
    )


def by_dataset(scores: pd.DataFrame) -> alt.Chart:
    """Draw the error of each predictor on the held-out cells of each data set."""
    data = scores[scores["dataset"] != "all"]
    look = told_apart("title", LOOK, title="Predictor")
    return (
        alt.Chart(data[["title", "dataset", "value"]])
        .mark_point(filled=True, size=110)
        .encode(
            x=alt.X("value:Q", title="mean squared error (squared bins)", scale=alt.Scale(zero=True)),
            y=alt.Y("dataset:N", title="held-out cells of"),
            **look,
            tooltip=["dataset", "title", alt.Tooltip("value", format=".1f")],
        )
        .properties(
            width="container",
            height=50 * data["dataset"].nunique(),
            description="Mean squared error at hidden genes of held-out cells, one row per data set and one mark per predictor.",
        )
    )
