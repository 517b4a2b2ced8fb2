"""Chart of the adapter's budget: share of the whole checkpoint against the width of the bottleneck."""

import altair as alt
import pandas as pd

from perturbook.pages.charts.scores import told_apart
from perturbook.palette import CATEGORY, GREY


def budget(shares: pd.DataFrame) -> alt.LayerChart:
    """Draw the trained share by bottleneck and molecule encoder, from `adapter.shares`; the reader picks the number of adapters."""
    encoders = list(dict.fromkeys(shares["encoder"]))
    numbers = list(dict.fromkeys(shares["adapters"]))
    pick = alt.param(
        name="adapters",
        value=numbers[0],
        bind=alt.binding_select(
            options=numbers, labels=["12, one per layer", "24, two per layer"], name="Adapters: "
        ),
    )
    slide = alt.param(
        name="bottleneck",  # "width" is Vega's own
        value=16,
        bind=alt.binding_range(min=1, max=int(shares["r"].max()), step=1, name="r: "),
    )
    look = told_apart("encoder", dict(zip(encoders, CATEGORY, strict=False)), title="molecule encoder")
    y = alt.Y(
        "percent:Q", title="trained share of all parameters (%)", scale=alt.Scale(domain=[0, 2], clamp=True)
    )
    base = alt.Chart(shares[["encoder", "m", "adapters", "r", "trained", "percent"]]).transform_filter(
        "datum.adapters == adapters && datum.percent <= 2"
    )
    x = alt.X(
        "r:Q", title="bottleneck r (numbers per token)", scale=alt.Scale(domain=[0, int(shares["r"].max())])
    )
    lines = base.mark_line().encode(x=x, y=y, color=look["color"])
    points = (
        base.transform_filter("datum.r == bottleneck")
        .mark_point(filled=True, size=90)
        .encode(
            x=x,
            y=y,
            **look,
            tooltip=[
                "encoder",
                "m",
                "r",
                alt.Tooltip("trained", format=","),
                alt.Tooltip("percent", format=".3f"),
            ],
        )
    )
    limit = alt.Chart(pd.DataFrame({"percent": [1.0]})).mark_rule(strokeDash=[4, 3], color=GREY).encode(y=y)
    return (
        alt.layer(lines, limit, points)
        .add_params(pick, slide)
        .properties(
            width="container",
            height=300,
            description="Share of the parameters of the whole-human scGPT that adapters train, against the width of their bottleneck, one "
            "line per molecule encoder. All lines are straight; the longer the molecule's embedding, the steeper. With one adapter per "
            "layer and r of 16, all but the fingerprint of 2,048 bits stay below the dashed line at one percent.",
        )
    )
