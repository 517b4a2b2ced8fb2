"""Charts of the ablations: arms against scores, and where the error lies."""

import altair as alt
import pandas as pd

from perturbook.evaluation import METRICS
from perturbook.models.scdca import LIMIT
from perturbook.pages.ablations import ADAPTER, ERROR, MEASURES, Ablations
from perturbook.pages.ablations_reading import in_words
from perturbook.pages.charts.scores import told_apart
from perturbook.pages.standings import title
from perturbook.palette import BLUE, ROLE

BEST = "Best simple predictor"
LANE = 22  # pixels
RULES = {
    "No change": (ROLE["floor"], [2, 3]),
    "Mean of training": (ROLE["floor"], [8, 4]),
    BEST: (ROLE["opponent"], [1, 0]),
    "Oracle": (ROLE["oracle"], [6, 2, 2, 2]),
}
"""Reference -> colour and dashes."""
BUDGET = {False: "within budget", True: "over budget"}
AXES = {
    "effect size (RMS of the measured change)": "effect",
    "dose (µM)": "dose_um",
    "highest Tanimoto similarity to a training drug": "similarity",
}
"""What the error is drawn against, and its column."""


def arms_chart(shown: Ablations) -> alt.LayerChart:
    """Mean score of every arm with its standard error over seeds, beside floors and oracle as lines."""
    titles = {metric: METRICS[metric].title for metric in MEASURES}
    lanes = [title(arm) for arm in shown.values["stored"]]
    most = max(shown.settings, key=lambda setting: len(shown.stored_in(setting)))
    pick = menu("setting", [in_words(setting) for setting in shown.settings], in_words(most), "Setting: ")
    metric = menu("metric", list(titles.values()), titles[ERROR], "Metric: ")
    here = "datum.setting == setting && datum.metric == metric"
    points = alt.Chart(_points(shown, titles)).transform_filter(here)
    lines = alt.Chart(_references(shown, titles)).transform_filter(here)
    y = alt.Y("arm:N", title=None, sort=lanes, scale=alt.Scale(domain=lanes))
    # room at both ends for the words above a point
    x = alt.X("mean:Q", title="Mean score (metric of the menu)", scale=alt.Scale(zero=False, padding=32))
    legend = {"title": "Reference", "legend": alt.Legend(orient="top", columns=2)}
    colour, dash = zip(*RULES.values(), strict=True)
    rules = lines.mark_rule(strokeWidth=2).encode(
        x=x,
        color=alt.Color("reference:N", scale=alt.Scale(domain=list(RULES), range=list(colour)), **legend),
        strokeDash=alt.StrokeDash(
            "reference:N", scale=alt.Scale(domain=list(RULES), range=list(dash)), **legend
        ),
        tooltip=["reference:N", "predictor:N", alt.Tooltip("mean:Q", format=".3f"), "seeds:Q"],
    )
    known = points.transform_filter("isValid(datum.mean)")
    bars = known.mark_rule(color=BLUE, strokeWidth=2).encode(y=y, x="low:Q", x2="high:Q")
    dots = known.mark_point(filled=True, size=80, opacity=1, color=BLUE).encode(
        y=y,
        x=x,
        shape=alt.Shape(
            "budget:N",
            title="Trained share",
            scale=alt.Scale(domain=list(BUDGET.values()), range=["circle", "square"]),
            legend=alt.Legend(orient="top", columns=1),
        ),
        tooltip=[
            "arm:N",
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("mean", "se")),
            alt.Tooltip("seeds:Q"),
            "budget:N",
        ],
    )
    fewer = known.mark_text(dy=-8, fontSize=10).encode(y=y, x=x, text="fewer:N")
    words = points.transform_filter("!isValid(datum.mean)").mark_text(align="left", dx=4)
    words = words.encode(y=y, x=alt.value(0), text="why:N")
    return (
        alt.layer(rules, bars, dots, fewer, words)
        .add_params(pick, metric)
        .properties(
            width="container",
            height=LANE * len(lanes),
            description="Mean score of every arm of the adapter, one lane each, with its standard error over seeds; vertical "
            "lines mark no change, the mean of training, the best simple predictor and the oracle. Menus pick setting and "
            "metric; squares train more than one percent; an arm of fewer seeds than the others says so above its point, and an "
            "arm without predictions is a lane with words.",
        )
    )


def error_chart(shown: Ablations) -> alt.LayerChart:
    """Error of the adapter and of the best simple predictor per condition, against effect, dose or similarity."""
    rows, options = _errors(shown), _options(shown)
    pick = menu("against", list(options), next(iter(options)), "Setting and quantity: ")
    here = "datum.option == against"
    words = ", ".join(f"'{column}': '{said}'" for said, column in AXES.items())
    base = alt.Chart(rows).transform_fold(list(AXES.values()), as_=["quantity", "x"])
    base = base.transform_calculate(option=f"datum.setting + ': ' + ({{{words}}})[datum.quantity]")
    look = told_apart("predictor", {title(ADAPTER): ROLE["model"], BEST: ROLE["opponent"]}, title="Predictor")
    points = base.transform_filter(here).mark_point(filled=True, size=50, opacity=0.65)
    points = points.encode(
        x=alt.X("x:Q", title="Quantity of the menu", scale=alt.Scale(zero=False)),
        y=alt.Y("error:Q", title="RMSE of means (log1p units)"),
        **look,
        tooltip=["predictor:N", "condition:N", "seed:Q", *three("x", "error")],
    )
    # ends of an unseen line where the diagonal means nothing: a layer without a row has no extent, and Vega warns
    ends = pd.DataFrame(
        {"option": option, "x": x, "error": x if column == "effect" else error, "seen": column == "effect"}
        for option, column in options.items()
        for mine in [rows[rows["setting"] == option.split(": ")[0]]]
        for x, error in zip(_ends(mine[column]), _ends(mine["error"]), strict=True)
    )
    line = alt.Chart(ends).transform_filter(here)
    line = line.mark_line(strokeDash=[4, 3], color=ROLE["floor"]).encode(
        x="x:Q", y="error:Q", opacity=alt.condition("datum.seen", alt.value(1), alt.value(0))
    )
    return (
        alt.layer(line, points)
        .add_params(pick)
        .properties(
            width="container",
            height=320,
            description="Error of the adapter and of the best simple predictor, one point per condition and seed, against the size of the "
            "measured effect, the dose, or for unseen drugs the highest similarity to a training drug. Against the effect, a "
            "dashed diagonal is the prediction of no change: points below it are better.",
        )
    )


def _ends(values: pd.Series) -> tuple[float, float]:
    return values.min(), values.max()


def menu(name: str, options: list[str], value: str, label: str) -> alt.Parameter:
    """A menu; a fixed value where there is nothing to choose."""
    if len(options) == 1:
        return alt.param(name=name, value=value)
    return alt.param(name=name, value=value, bind=alt.binding_select(options=options, name=label))


def three(*names: str) -> list[alt.Tooltip]:
    """Tooltips of numbers with three decimals."""
    return [alt.Tooltip(f"{name}:Q", format=".3f") for name in names]


def _points(shown: Ablations, titles: dict[str, str]) -> pd.DataFrame:
    """One row per arm, setting and metric; without a mean where nothing is stored or defined."""
    rows = []
    for metric, words in titles.items():
        for setting in shown.settings:
            there = shown.stored_in(setting)
            for arm in shown.values["stored"]:
                row = {"metric": words, "setting": in_words(setting), "arm": title(arm)}
                if (key := (metric, setting, arm)) in shown.means.index:
                    found, over = shown.means.loc[key], shown.records[arm]["trainable_share"] > LIMIT
                    se = 0.0 if pd.isna(found["se"]) else found["se"]
                    ends = {"low": found["mean"] - se, "high": found["mean"] + se}
                    row |= {**found[["mean", "se", "seeds"]], **ends, "budget": BUDGET[over]}
                    some, asked = found["seeds"], len(shown.values["seeds"])
                    row["fewer"] = f"{some:.0f} of {asked} seeds" if some < asked else ""
                else:
                    row["why"] = "undefined" if arm in there else "not stored"
                rows.append(row)
    columns = "metric setting arm mean se seeds low high budget fewer why".split()
    return pd.DataFrame(rows).reindex(columns=columns).round(6)


def _references(shown: Ablations, titles: dict[str, str]) -> pd.DataFrame:
    """One row per reference, setting and metric that is defined."""
    rows = []
    for metric, words in titles.items():
        for setting in shown.settings:
            best = shown.best_simple(metric, setting)
            methods = dict(zip(RULES, ("no_change", "mean_train", best, "oracle"), strict=True))
            for name, method in methods.items():
                if (key := (metric, setting, method)) in shown.means.index:
                    found = shown.means.loc[key, ["mean", "seeds"]].round(6)
                    row = {"metric": words, "setting": in_words(setting), "reference": name}
                    rows.append({**row, "predictor": title(method), **found})
    columns = ["metric", "setting", "reference", "predictor", "mean", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def _errors(shown: Ablations) -> pd.DataFrame:
    """One row per setting, condition, seed and predictor, at every dose, with the columns of `AXES`."""
    rows = shown.scores[(shown.scores["metric"] == ERROR) & shown.scores["value"].notna()]
    best = {setting: shown.best_simple(ERROR, setting) for setting in shown.settings}
    rows = rows[(rows["method"] == ADAPTER) | (rows["method"] == rows["setting"].map(best))]
    return pd.DataFrame(
        {
            "setting": rows["setting"].map(in_words),
            "predictor": rows["method"].eq(ADAPTER).map({True: title(ADAPTER), False: BEST}),
            "condition": rows["condition"].astype(str),
            "seed": rows["seed"],
            "error": rows["value"].round(4),
            **{column: rows[column].astype(float).round(4) for column in AXES.values()},
        }
    )


def _options(shown: Ablations) -> dict[str, str]:
    """Entries of the menu and their quantity; similarity only where a drug tested is not in training."""
    options = {}
    for setting in shown.settings:
        rows = shown.scores[shown.scores["setting"] == setting]
        for words, column in AXES.items():
            if (rows[column] < 1).any() if column == "similarity" else rows[column].notna().any():
                options[f"{in_words(setting)}: {words}"] = column
    return options
