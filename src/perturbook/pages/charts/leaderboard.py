"""Charts of the leaderboard: every page as a block, every predictor in it as a point with its interval."""

import altair as alt
import pandas as pd

from perturbook.evaluation import METRICS
from perturbook.palette import ROLE, ROLE_SHAPE

LANE = 16  # pixels
WORDS = {"block": "b", "predictor": "p", "role": "r", "name": "m", "floor": "f"}
"""Columns of words, and the short names of their numbers in the data of a chart."""
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
        "Mean score (unit of the metric in the menu)",
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
        "Gain over the best floor (positive is better)",
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
    table = _tidy(board, values)
    shown, blocks = (list(dict.fromkeys(table[column])) for column in ("name", "block"))
    roles = [role for role in ROLE_SHAPE if role in set(table["role"])]
    first = METRICS[metric].title if METRICS[metric].title in shown else shown[0]
    pick = alt.param(name="metric", value=first, bind=alt.binding_select(options=shown, name="Metric: "))
    legend = {"title": "Role", "legend": alt.Legend(orient="bottom")}
    color = alt.Color("role:N", scale=alt.Scale(domain=roles, range=[ROLE[role] for role in roles]), **legend)
    shape = alt.Shape(
        "role:N", scale=alt.Scale(domain=roles, range=[ROLE_SHAPE[role] for role in roles]), **legend
    )
    coded, words = _coded(table if zero else table.drop(columns="floor"))  # the table of the page names it
    everything = alt.Chart(coded).encode(
        y=alt.Y("block:N", title="Page", sort=blocks, axis=alt.Axis(labels=False, ticks=False, grid=False)),
        yOffset=alt.YOffset("role:N", scale=alt.Scale(domain=[HEADING, *roles])),
    )
    base = everything.transform_filter(alt.datum.name == pick)
    bars = base.transform_filter("isValid(datum.from)").mark_rule(strokeWidth=2, opacity=0.6)
    points = base.mark_point(filled=True, size=80, opacity=0.85)
    headings = everything.transform_aggregate(n="count()", groupby=["block"]).transform_calculate(
        role=f"'{HEADING}'"
    )
    layers = [
        bars.encode(x=alt.X("from:Q", title=title), x2="to:Q", color=color),
        points.encode(
            x=alt.X("value:Q", title=title, scale=alt.Scale(zero=False)),
            color=color,
            shape=shape,
            tooltip=_tips(zero),
        ),
        headings.mark_text(align="left", baseline="middle", fontSize=12, limit=alt.expr("width")).encode(
            x=alt.value(2), text="block:N", tooltip=alt.Tooltip("block:N", title="page")
        ),
    ]
    if zero:
        line = alt.Chart(coded).transform_aggregate(n="count()").mark_rule(strokeDash=[4, 4], aria=False)
        layers.insert(0, line.encode(x=alt.datum(0)))
    height = LANE * len(blocks) * (1 + len(roles))
    chart = alt.layer(*layers).add_params(pick)
    for column, (short, listed) in words.items():
        source = alt.LookupData(alt.Data(values=listed), key="i", fields=[column])
        chart = chart.transform_lookup(lookup=short, from_=source)
    return chart.properties(width="container", height=height, description=description)


def _coded(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, tuple[str, list[dict]]]]:
    """Numbers for words, which stand once in a list: a page must stay light.

    Returns:
        The table with a column of numbers under a short name in the place of every column of words; and per column of
        words its short name and the rows i (number) and word.
    """
    words = {}
    for column in [name for name in WORDS if name in table]:
        numbers, listed = pd.factorize(table[column])
        words[column] = (WORDS[column], [{"i": i, column: word} for i, word in enumerate(listed)])
        table = table.assign(**{WORDS[column]: numbers}).drop(columns=column)
    return table, words


def _tidy(board: pd.DataFrame, values: tuple[str, str, str]) -> pd.DataFrame:
    """Rows with a defined value, in the order of the metric registry; pages keep their order."""
    named = dict(zip(values, ("value", "from", "to"), strict=True))
    table = board.dropna(subset=[values[0]]).rename(columns=named)
    order = {key: i for i, key in enumerate(METRICS)}
    table = table.sort_values("metric", key=lambda keys: keys.map(order), kind="stable")
    table["name"] = table["metric"].map({key: METRICS[key].title for key in table["metric"].unique()})
    table["block"] = table["title"] + " (" + table["cells"] + ")"
    # six digits: a specification must not differ in the last bit of a sum, nor weigh what no eye can see
    table[["value", "from", "to"]] = table[["value", "from", "to"]].astype(float).round(6)
    return table[
        ["block", "predictor", "role", "name", "value", "from", "to", "n_defined", "n_total", "floor"]
    ]


def _tips(floor: bool) -> list[alt.Tooltip]:
    words = {"predictor": "predictor", "role": "role", "block": "page"}
    numbers = {"value": "value", "from": "95 % from", "to": "95 % to"}
    counts = {"n_defined": "conditions defined", "n_total": "conditions"}
    tips = [alt.Tooltip(f"{field}:N", title=title) for field, title in words.items()]
    tips += [alt.Tooltip(f"{field}:Q", title=title, format=".3f") for field, title in numbers.items()]
    tips += [alt.Tooltip(f"{field}:Q", title=title) for field, title in counts.items()]
    return [*tips, alt.Tooltip("floor:N", title="best floor")] if floor else tips
