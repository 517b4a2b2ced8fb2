"""Chart of the latent-world card: which latents move in which environment."""

import altair as alt
import pandas as pd

from perturbook.palette import DIVERGING


def shift_chart(found: pd.DataFrame) -> alt.Chart:
    """Latents x environments, coloured by the shift of the mean, from `latent_world.shifts`."""
    order = list(dict.fromkeys(found["latent"]))
    return (
        alt.Chart(found)
        .mark_rect(stroke="#88888855")
        .encode(
            x=alt.X("environment:N", title="Environment", axis=alt.Axis(labelAngle=-45)),
            y=alt.Y("latent:N", title="Latent", sort=order),
            color=alt.Color(
                "shift:Q",
                title="Shift (control SD)",
                scale=alt.Scale(scheme=DIVERGING, domainMid=0),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=["latent", "environment", alt.Tooltip("shift:Q", format=".2f")],
        )
        .properties(
            width="container",
            height=22 * len(order),
            description="Mean of every true latent in every environment, in standard deviations of the control cells: responsive latents "
            "move from environment to environment, invariant ones stay near zero.",
        )
    )
