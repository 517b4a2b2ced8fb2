"""Curves of the Scores chapter: how a score moves with genes, cells and lists; each takes the tidy table of one trap."""

import altair as alt
import numpy as np
import pandas as pd

from perturbook.pages.charts.scores import LOG, told_apart
from perturbook.palette import BLUE, GREEN, GREY, PURPLE, VERMILLION


def chosen(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw the change of chosen genes where there is no effect, from `traps_lists.chosen`; 0 is the truth."""
    data = frame.groupby(["de_source", "k"])["change"].mean().reset_index()
    return alt.layer(
        _level(0),
        _curves(
            data,
            x=alt.X("k:Q", title="genes on the list", scale=LOG),
            y=alt.Y("change:Q", title="apparent change (log1p units)"),
            look=told_apart(
                "de_source",
                {"test_truth": VERMILLION, "split_half": BLUE, "train_visible": GREEN},
                title="genes chosen on",
            ),
        ),
    ).properties(
        **SIZE,
        description="Mean change of the genes highest on a list where no gene changes at all, against the length of the list. "
        "Chosen on the scored cells it is far above zero; chosen on other cells it is about zero.",
    )


def weight_shares(frame: pd.DataFrame) -> alt.Chart:
    """Draw the share of all weight that the heaviest genes carry, from `traps_lists.weight_shares`."""
    colours = {"the rest": VERMILLION, "control": BLUE, "all genes alike": GREY}
    return _curves(
        frame,
        x=alt.X("genes:Q", title="heaviest genes", scale=LOG),
        y=alt.Y("share:Q", title="share of all weight (no unit)"),
        look=told_apart("against", colours, title="weights by the statistic against"),
    ).properties(
        **SIZE,
        description="Share of all weight carried by the heaviest genes, against their number. A tenth of the genes carries "
        "most of the weight, whether conditions are compared with the rest or with control.",
    )


def l2_by_length(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw the distance against the number of genes, from `traps_lists.l2_by_length`, beside the square root."""
    first = frame.groupby("predictor").transform("first")
    data = frame.assign(root=first["l2"] * np.sqrt(frame["genes"] / first["genes"]))
    look = told_apart("predictor", {"no change": GREY, "same drug, lower dose": BLUE})
    x = alt.X("genes:Q", title="genes highest in control", scale=LOG)
    y = alt.Y("l2:Q", title="L2 (log1p units)", scale=LOG)
    root = (
        alt.Chart(data)
        .mark_line(strokeDash=[4, 3])
        .encode(x=x, y=alt.Y("root:Q", scale=LOG), color=look["color"])
    )
    return alt.layer(root, _curves(data, x=x, y=y, look=look)).properties(
        **SIZE,
        description="Distance of two predictors from the measured means against the number of genes, both axes logarithmic, "
        "beside dashed lines of the square root of the number. The distance grows nearly as the square root.",
    )


def found_without_effect(frame: pd.DataFrame) -> alt.Chart:
    """Draw genes called different where nothing changed, from `traps_distribution.found_without_effect`."""
    colours = dict(
        zip(sorted(map(str, frame["spread"].unique())), (VERMILLION, PURPLE, GREEN, BLUE), strict=False)
    )
    return _curves(
        frame.assign(spread=frame["spread"].astype(str)),
        x=alt.X("n_cells:Q", title="cells drawn from the generator", scale=LOG),
        y=alt.Y("share:Q", title="genes called different (share)"),
        look=told_apart("spread", colours, title="spread, generated / true"),
    ).properties(
        **SIZE,
        description="Share of genes called different from control although nothing changed, against the number of generated "
        "cells. With the true spread it is about zero; the smaller the spread and the more cells, the larger it is.",
    )


def ceilings(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw measured (points) and projected (dashed lines) ceilings, from `traps_ceilings.ceilings`."""
    colours = {
        "oracle": PURPLE,
        "full duplicate": BLUE,
        "half duplicate": GREEN,
        "interpolated duplicate": VERMILLION,
    }
    look = told_apart("ceiling", colours)
    base = alt.Chart(frame).encode(
        x=alt.X("n_cells:Q", title="measured cells per condition", scale=LOG), color=look["color"]
    )
    projected = (
        base.transform_filter("datum.kind == 'projected'").mark_line(strokeDash=[4, 3]).encode(y="value:Q")
    )
    measured = (
        base.transform_filter("datum.kind == 'measured'")
        .mark_point(size=60)
        .encode(
            y=alt.Y("value:Q", title="Pearson-delta, controls apart (no unit)"),
            shape=look["shape"],
            tooltip=["ceiling", "n_cells", alt.Tooltip("value", format=".3f")],
        )
    )
    return alt.layer(projected, measured).properties(
        **SIZE,
        description="Pearson-delta of the oracle, of a second experiment of full size, of half the cells and of the "
        "interpolated duplicate against the number of measured cells. Dashed projections from the halves pass through the "
        "points measured for the full duplicate and for the oracle.",
    )


SIZE = {"width": "container", "height": 260}


def _curves(data: pd.DataFrame, x: alt.X, y: alt.Y, look: dict) -> alt.Chart:
    """Lines with points, one per group; the tooltip holds every column drawn."""
    fields = [str(axis.shorthand).split(":")[0] for axis in (look["color"], x, y)]
    tips = [fields[0], fields[1], alt.Tooltip(f"{fields[2]}:Q", format=".3f")]
    return alt.Chart(data).mark_line(point=True).encode(x=x, y=y, **look, tooltip=tips)


def _level(value: float) -> alt.Chart:
    return alt.Chart(pd.DataFrame({"at": [value]})).mark_rule(color=GREY, strokeDash=[2, 2]).encode(y="at:Q")
