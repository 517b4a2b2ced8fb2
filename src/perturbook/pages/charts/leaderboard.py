"""Charts of the leaderboard: every page as a block, every predictor in it as a point with its interval."""

import altair as alt
import pandas as pd

from perturbook.evaluation import METRICS
from perturbook.pages.palette import ROLE

ROLES = ["floor", "opponent", "model", "oracle", "ceiling"]
SHAPES = {
    "floor": "circle",
    "opponent": "square",
    "model": "triangle-up",
    "oracle": "diamond",
    "ceiling": "cross",
}
LANE = 16  # pixels
HEADING = "heading"  # the lane of a block that holds the name of its page


def score_chart(board: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Floors, opponents, oracle and duplicate of every page on the metric that the reader picks.

    Args:
        board: table of `pages.leaderboard.load`.
        metric: metric shown first.
    """
    return _blocks(
        board,
        metric,
        ("mean", "low", "high"),
        "Mean score over conditions (unit of the metric in the menu)",
        "Mean score of every predictor on every page, with its 95 percent bootstrap interval over conditions where there are "
        "ten or more: floors, opponents, oracle and the split-half duplicate in lanes of their own; the menu picks the "
        "metric, and the name of a page says whether its cells are real or simulated.",
    )


def gain_chart(board: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Paired gain of every opponent, oracle and duplicate over the best floor of its page; 0 is that floor.

    Args:
        board: table of `pages.leaderboard.load`.
        metric: metric shown first.
    """
    return _blocks(
        board[board["role"] != "floor"],
        metric,
        ("gain", "gain_low", "gain_high"),
        "Gain over the best floor (positive is better; unit of the metric in the menu)",
        "Paired gain over the best floor of each page, with its 95 percent bootstrap interval over conditions where there are "
        "ten or more; the line marks no gain, points to its right are better than the best floor. The menu picks the "
        "metric, and the name of a page says whether its cells are real or simulated.",
        zero=True,
    )


def _blocks(
    board: pd.DataFrame,
    metric: str,
    values: tuple[str, str, str],
    title: str,
    description: str,
    *,
    zero: bool = False,
) -> alt.LayerChart:
    names = {key: METRICS[key].title for key in METRICS}
    table = board.dropna(subset=[values[0]]).rename(
        columns=dict(zip(values, ("value", "from", "to"), strict=True))
    )
    table = table.assign(
        name=table["metric"].map(names), block=table["title"] + " (" + table["cells"] + " cells)"
    )
    # ten digits, as everywhere: a specification must not differ in the last bit of a sum
    table[["value", "from", "to"]] = table[["value", "from", "to"]].astype(float).round(10)
    shown = [name for name in names.values() if name in set(table["name"])]
    blocks = list(dict.fromkeys(table["block"]))
    roles = [role for role in ROLES if role in set(table["role"])]
    first = names[metric] if names[metric] in shown else shown[0]
    pick = alt.param(name="metric", value=first, bind=alt.binding_select(options=shown, name="Metric: "))
    y = alt.Y("block:N", title="Page", sort=blocks, axis=alt.Axis(labels=False, ticks=False, grid=False))
    lane = alt.YOffset("role:N", sort=None, scale=alt.Scale(domain=[HEADING, *roles]))
    color = alt.Color(
        "role:N", title="Role", scale=alt.Scale(domain=roles, range=[ROLE[role] for role in roles])
    )
    shape = alt.Shape(
        "role:N", title="Role", scale=alt.Scale(domain=roles, range=[SHAPES[role] for role in roles])
    )
    columns = ["block", "predictor", "role", "name", "value", "from", "to", "n_defined", "n_total", "floor"]
    base = alt.Chart(table[columns]).transform_filter(alt.datum.name == pick)
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=False))
    tips = ["predictor", "role", alt.Tooltip("block:N", title="page")]
    named = {"value": "value", "from": "95 % from", "to": "95 % to"}
    tips += [alt.Tooltip(f"{field}:Q", title=words, format=".3f") for field, words in named.items()]
    tips += [
        alt.Tooltip("n_defined:Q", title="conditions defined"),
        alt.Tooltip("n_total:Q", title="conditions"),
    ]
    tips += [alt.Tooltip("floor:N", title="best floor")]
    bars = base.transform_filter("isValid(datum.from)").mark_rule(strokeWidth=2, opacity=0.6)
    layers = [
        bars.encode(x=alt.X("from:Q", title=title), x2="to:Q", y=y, yOffset=lane, color=color),
        base.mark_point(filled=True, size=80, opacity=0.85).encode(
            x=x, y=y, yOffset=lane, color=color, shape=shape, tooltip=tips
        ),
        alt.Chart(pd.DataFrame({"block": blocks, "role": HEADING}))
        .mark_text(align="left", baseline="middle", fontSize=12, limit=alt.expr("width"))
        .encode(
            x=alt.value(2), y=y, yOffset=lane, text="block:N", tooltip=alt.Tooltip("block:N", title="page")
        ),
    ]
    if zero:
        layers.insert(0, alt.Chart(pd.DataFrame({"at": [0]})).mark_rule(strokeDash=[4, 4]).encode(x="at:Q"))
    return (
        alt.layer(*layers)
        .add_params(pick)
        .properties(width="container", height=LANE * len(blocks) * (1 + len(roles)), description=description)
    )
