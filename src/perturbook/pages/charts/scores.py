"""Charts of the Scores chapter; each takes the tidy table of one trap."""

import altair as alt
import pandas as pd

from perturbook.palette import BLUE, GREEN, GREY, VERMILLION

LOG = alt.Scale(type="log", nice=False, padding=12)


def no_change_by_dose(frame: pd.DataFrame) -> alt.Chart:
    """Draw R2 of the control mean per dose and line, from `traps.no_change_by_dose`, with the middle 90 % of drugs."""
    spread = frame.groupby(["dose_um", "context"], observed=True)["r2_mean"]
    data = spread.describe(percentiles=[0.05, 0.5, 0.95])[["mean", "5%", "95%", "count"]].reset_index()
    y = alt.Y("dose_um:O", title="dose (µM)", sort="ascending")
    offset = alt.YOffset("context:N")
    base = alt.Chart(data).encode(y=y, yOffset=offset)
    bars = base.mark_rule().encode(
        x=alt.X("5%:Q", title="R² of means of the control mean (no unit)", scale=alt.Scale(zero=False)),
        x2="95%:Q",
    )
    points = base.mark_point(color=GREY).encode(
        x="mean:Q",
        tooltip=[
            "context",
            "dose_um",
            alt.Tooltip("mean", format=".3f"),
            alt.Tooltip("count", title="conditions"),
        ],
    )
    return (bars + points).properties(
        width="container",
        height=14 * data["dose_um"].nunique() * data["context"].nunique(),
        description="R2 of means scored by the unchanged control mean, per dose and cell line: the mean over drugs with "
        "the range that holds 90 percent of them. It is high at low doses and falls with the dose.",
    )


def overshoot(frame: pd.DataFrame) -> alt.Chart:
    """Draw three scores of the true effect times a gain, from `traps.overshoot`."""
    return (
        alt.Chart(frame.dropna())
        .mark_line(point=True)
        .encode(
            x=alt.X("gain:Q", title="predicted effect / true effect (no unit)"),
            y=alt.Y("value:Q", title="mean score over conditions (no unit)"),
            **told_apart(
                "score", {"r2_mean": VERMILLION, "r2_mean_clipped": GREEN, "pearson_delta_ctrl_shared": BLUE}
            ),
            tooltip=["score", "gain", alt.Tooltip("value", format=".3f")],
        )
        .properties(
            width="container",
            height=260,
            description="Mean score against the gain of the predicted effect. R2 peaks at gain 1 and falls below zero for "
            "large gains, clipped R2 stays at or above zero, Pearson-delta is 1 at every gain.",
        )
    )


def shared_control(frame: pd.DataFrame) -> alt.Chart:
    """Draw the correlation of two effects that do not exist, from `traps_reference.shared_control`."""
    data = frame.groupby(["controls", "n_control"])[["value", "expected"]].mean().reset_index()
    groups = told_apart(
        "controls", {"same cells": VERMILLION, "split": BLUE}, title="control cells subtracted"
    )
    base = alt.Chart(data).encode(
        x=alt.X("n_control:Q", title="control cells n0", scale=LOG), color=groups["color"]
    )
    expected = base.mark_line(strokeDash=[4, 3]).encode(y="expected:Q")
    measured = base.mark_point().encode(
        y=alt.Y("value:Q", title="Pearson-delta without any effect (mean of draws)"),
        shape=groups["shape"],
        tooltip=[
            "controls",
            "n_control",
            alt.Tooltip("value", format=".3f"),
            alt.Tooltip("expected", format=".3f"),
        ],
    )
    return (expected + measured).properties(
        width="container",
        height=260,
        description="Correlation of two effects where there is none, against the number of control cells. With the same "
        "control cells on both sides it follows the dashed line n over n plus n0; with split controls it is about zero.",
    )


def shared_response(frame: pd.DataFrame) -> alt.Chart:
    """Draw Pearson-delta per predictor and reference, from `traps.summary`; undefined is written, not drawn."""
    order = ["no change", "mean of the other drugs", "same drug, lower dose"]
    return _intervals(
        frame,
        y=alt.Y("predictor:N", title=None, sort=order),
        x_title="Pearson-delta (correlation over genes)",
        group="reference",
        colours={"control, same cells": VERMILLION, "control, split cells": BLUE, "training centroid": GREEN},
        description="Pearson-delta of three predictors against three references with 95 percent bootstrap intervals over "
        "drugs. The mean of the other drugs scores high against control and is undefined against the centroid.",
    )


def retrieval_floor(frame: pd.DataFrame) -> alt.Chart:
    """Draw `nir` of a constant and an informed predictor by group of competitors, from `traps.summary`."""
    return _intervals(
        frame[frame["metric"] == "nir"],
        y=alt.Y("competitors:N", title=None),
        x_title="nir (share of other drugs that lie farther)",
        group="predictor",
        colours={"no change": GREY, "same drug, lower dose": BLUE},
        description="Retrieval score of a constant and of an informed predictor with 95 percent bootstrap intervals over "
        "drugs. The constant predictor has one half among drugs of its own line and much more among all lines pooled.",
    )


def spread(frame: pd.DataFrame) -> alt.Chart:
    """Draw cell-level error and energy distance against the spread of the generated cells, relative to spread 0."""
    data = frame[frame["score"] != "var_ratio"].copy()
    at_zero = data[data["spread"] == 0].set_index("score")["value"]
    data["relative"] = data["value"] / data["score"].map(at_zero)
    return (
        alt.Chart(data)
        .mark_line(point=True)
        .encode(
            x=alt.X("spread:Q", title="standard deviation of generated / true cells (no unit)"),
            y=alt.Y("relative:Q", title="score / score of the bare mean (lower is better)"),
            **told_apart("score", {"rel_rmse_cell": VERMILLION, "edist_u_genes": GREEN}),
            tooltip=[
                "score",
                "spread",
                alt.Tooltip("value", format=".3f"),
                alt.Tooltip("relative", format=".3f"),
            ],
        )
        .properties(
            width="container",
            height=260,
            description="Two scores of generated cells with the true mean against their spread. The cell-level error is "
            "smallest without any spread and grows by the square root of two up to the true spread; the energy distance is "
            "smallest at the true spread.",
        )
    )


def energy_bias(frame: pd.DataFrame) -> alt.Chart:
    """Draw mean and standard deviation of both energy statistics, from `traps_spread.energy_bias`."""
    data = frame.groupby(["statistic", "n_cells"])["value"].agg(["mean", "std"]).reset_index()
    data = data.assign(low=data["mean"] - data["std"], high=data["mean"] + data["std"])
    groups = told_apart("statistic", {"U (edist_u)": BLUE, "V": VERMILLION})
    base = alt.Chart(data).encode(
        x=alt.X("n_cells:Q", title="cells per side", scale=LOG), color=groups["color"]
    )
    bars = base.mark_rule().encode(
        y=alt.Y("low:Q", title="energy distance (log1p units), truth 0"), y2="high:Q"
    )
    points = base.mark_point().encode(
        y="mean:Q",
        shape=groups["shape"],
        tooltip=["statistic", "n_cells", alt.Tooltip("mean", format=".3f"), alt.Tooltip("std", format=".3f")],
    )
    return (bars + points).properties(
        width="container",
        height=260,
        description="Energy distance between two draws of the same control cells, mean and standard deviation over draws, "
        "against cells per side. The V-statistic is far above zero for few cells; the U-statistic is about zero.",
    )


def told_apart(field: str, colours: dict[str, str], title: str | None = None) -> dict:
    """Colour and shape for the groups of `field`, in one legend: no reader depends on colour alone.

    Args:
        field: column of the groups.
        colours: colour of each group, in the order of the legend.
        title: of the legend, the field when None.
    """
    shared = {"title": title or field, "legend": alt.Legend(orient="top", columns=1)}
    domain, hues = list(colours), list(colours.values())
    return {
        "color": alt.Color(f"{field}:N", scale=alt.Scale(domain=domain, range=hues), **shared),
        "shape": alt.Shape(f"{field}:N", scale=alt.Scale(domain=domain), **shared),
    }


def _intervals(
    data: pd.DataFrame, y: alt.Y, x_title: str, group: str, colours: dict, description: str
) -> alt.Chart:
    """Points with intervals per group; a group without a defined value is the words "undefined (0 of N)"."""
    missing = data["mean"].isna()
    look, offset = told_apart(group, colours), alt.YOffset(f"{group}:N")
    base = alt.Chart(data[~missing]).encode(y=y, yOffset=offset, color=look["color"])
    bars = base.mark_rule().encode(x=alt.X("low:Q", title=x_title), x2="high:Q")
    points = base.mark_point().encode(x="mean:Q", shape=look["shape"], tooltip=["label", "kind"])
    words = (
        alt.Chart(data[missing].assign(at=0.0))
        .mark_text(align="left", dx=6)
        .encode(y=y, yOffset=offset, x="at:Q", text="label:N", color=look["color"])
    )
    layers = bars + points + words if missing.any() else bars + points
    rows = data[y.shorthand.split(":")[0]].nunique() * data[group].nunique()
    return layers.properties(width="container", height=22 * rows, description=description)
