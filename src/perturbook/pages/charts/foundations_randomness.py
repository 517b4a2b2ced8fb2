"""Charts of the randomness trap: bins of one cell under several seeds, and how far embeddings move."""

import altair as alt
import pandas as pd

from perturbook.palette import BLUE, GREEN, VERMILLION

SCHEME = {"reference": VERMILLION, "ours": BLUE, "ours, ties to the upper edge": GREEN}


def bins_of_one_cell(found: pd.DataFrame) -> alt.Chart:
    """Draw the bins of some genes of a cell, one point per run and scheme, from `foundations_randomness.one_cell`."""
    data = found.assign(named=found["gene"] + " (" + found["count"].astype(str) + ")")
    order = list(dict.fromkeys(data["named"]))
    domain = [one for one in SCHEME if one in set(data["scheme"])]
    look = {"title": "scheme", "legend": alt.Legend(orient="top")}
    return (
        alt.Chart(data[["named", "count", "scheme", "run", "bin"]])
        .mark_point(filled=True, opacity=0.75)
        .encode(
            x=alt.X(
                "bin:Q", title="bin the model reads (1 to 50)", scale=alt.Scale(domain=[0, 51], nice=False)
            ),
            y=alt.Y("named:N", title="gene (counts)", sort=order),
            yOffset=alt.YOffset("scheme:N", sort=domain),
            color=alt.Color(
                "scheme:N", scale=alt.Scale(domain=domain, range=[SCHEME[one] for one in domain]), **look
            ),
            shape=alt.Shape("scheme:N", scale=alt.Scale(domain=domain), **look),
            tooltip=["named", "scheme", "run", "bin"],
        )
        .properties(
            width="container",
            height=22 * len(order),
            description="Bins of some genes of one cell in five runs. Under the reference scheme a gene with one count lands "
            "anywhere on most of the scale, from run to run; under ours the runs agree and their points lie on each other.",
        )
    )


def distances(found: pd.DataFrame, between: float) -> alt.LayerChart:
    """Draw how far each cell's embedding moved, from `foundations_randomness.changes`.

    Args:
        found: one row per cell and repeat.
        between: median distance between two cells of one type, drawn as a dashed line.
    """
    data = found.assign(what=found["scheme"] + ": " + found["changed"])
    order = list(dict.fromkeys(data["what"]))
    scale = alt.Scale(type="symlog", constant=1e-6, domain=[0, 2])
    axis = alt.Axis(values=[0, 1e-4, 1e-2, 1], format="~g")
    x = alt.X(
        "distance:Q", title="distance between unit vectors (0 to 2, symmetric log)", scale=scale, axis=axis
    )
    domain = [one for one in SCHEME if one in set(data["scheme"])]
    ticks = (
        alt.Chart(data[["what", "scheme", "cell", "distance"]])
        .mark_tick(thickness=1.5, opacity=0.6)
        .encode(
            x=x,
            y=alt.Y("what:N", title="scheme: what was changed", sort=order),
            color=alt.Color(
                "scheme:N", scale=alt.Scale(domain=domain, range=[SCHEME[one] for one in domain]), legend=None
            ),
            tooltip=["what", "cell", alt.Tooltip("distance", format=".2g")],
        )
    )
    line = alt.Chart(pd.DataFrame({"at": [between]})).mark_rule(strokeDash=[4, 3]).encode(x="at:Q")
    return (ticks + line).properties(
        width="container",
        height=30 * len(order),
        description="How far the embedding of each cell moves when something is changed, one tick per cell and repeat. Under "
        "the reference scheme batch size, number of workers, order of cells and seed all move it; under ours only the seed "
        "does. The dashed line is the median distance between two cells of one type and condition.",
    )
