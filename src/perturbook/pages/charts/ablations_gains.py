"""Chart of the ablations in pairs: how much better the adapter is than each arm on the same conditions."""

import altair as alt
import pandas as pd

from perturbook.evaluation import METRICS
from perturbook.pages.ablations import ADAPTER, ERROR, MEASURES, Ablations
from perturbook.pages.ablations_reading import gain, in_words
from perturbook.pages.charts.ablations import LANE, menu, three
from perturbook.pages.charts.scores import told_apart
from perturbook.pages.standings import title
from perturbook.palette import ROLE

KINDS = {"arm": ROLE["model"], "simple predictor": ROLE["opponent"], "oracle": ROLE["oracle"]}
"""What the adapter is compared with -> colour."""


def gains_chart(shown: Ablations, resamples: int = 10_000) -> alt.LayerChart:
    """Mean gain of the adapter over every other predictor with its interval over drugs, one lane each."""
    rows, settings = _gains(shown, resamples), [in_words(setting) for setting in shown.settings]
    lanes = list(dict.fromkeys(rows["against"]))
    most = max(shown.settings, key=lambda setting: len(shown.stored_in(setting)))
    pick = menu("gain_setting", settings, in_words(most), "Setting: ")
    metric = menu("gain_metric", [METRICS[one].title for one in MEASURES], METRICS[ERROR].title, "Metric: ")
    base = alt.Chart(rows).transform_filter("datum.setting == gain_setting && datum.metric == gain_metric")
    y = alt.Y("against:N", title=None, sort=lanes, scale=alt.Scale(domain=lanes))
    x = alt.X("mean:Q", title="Gain of the adapter (metric of the menu); right of 0 it is better")
    look = told_apart("kind", KINDS, title="The adapter against")
    known = base.transform_filter("isValid(datum.low)")
    bars = known.mark_rule(strokeWidth=2).encode(y=y, x="low:Q", x2="high:Q", color=look["color"])
    dots = (
        base.transform_filter("isValid(datum.mean)")
        .mark_point(filled=True, size=70, opacity=1)
        .encode(
            y=y, x=x, **look, tooltip=["against:N", *three("mean", "low", "high"), "conditions:Q", "seeds:Q"]
        )
    )
    words = base.transform_filter("!isValid(datum.mean)").mark_text(align="left", dx=4)
    words = words.encode(y=y, x=alt.value(0), text="why:N")
    zero = base.mark_rule(color=ROLE["floor"], strokeDash=[2, 3], aria=False).encode(x=alt.datum(0))
    return (
        alt.layer(zero, bars, dots, words)
        .add_params(pick, metric)
        .properties(
            width="container",
            height=LANE * len(lanes),
            description="How much better the adapter is than each arm, floor, opponent and the oracle, one lane each, paired over "
            "the same seeds and conditions, with its 95 % bootstrap interval over drugs; right of the dashed line at zero the "
            "adapter is better. Menus pick setting and metric; a predictor that cannot be paired is a lane with words.",
        )
    )


def _gains(shown: Ablations, resamples: int) -> pd.DataFrame:
    """One row per metric, setting and predictor: its gain, or why it cannot be paired with the adapter."""
    rows, arms = [], shown.values["stored"]
    for metric in MEASURES:
        for setting in shown.settings:
            for other in (name for name in shown.methods if name != ADAPTER):
                kind = "arm" if other in arms else "oracle" if other == "oracle" else "simple predictor"
                row = {"metric": METRICS[metric].title, "setting": in_words(setting), "kind": kind}
                row["against"], found = title(other), gain(shown, metric, setting, other, resamples)
                if found["n_defined"]:
                    row |= {name: round(float(found[name]), 6) for name in ("mean", "low", "high")}
                    row |= {"conditions": found["n_defined"], "seeds": found["seeds"]}
                else:
                    stored = other not in arms or other in shown.stored_in(setting)
                    row["why"] = "undefined" if stored else "not stored"
                rows.append(row)
    columns = "metric setting kind against mean low high conditions seeds why".split()
    return pd.DataFrame(rows).reindex(columns=columns)
