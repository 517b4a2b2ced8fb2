"""Charts of a setting page: the split, the scores, and the scores by dose or context."""

import altair as alt
import pandas as pd

from perturbook.evaluation import METRICS, highest_dose, summarise
from perturbook.evaluation.score import FEW
from perturbook.pages.charts.split import split_grid
from perturbook.pages.present import MAIN, headline, label, roles
from perturbook.pages.study import Study
from perturbook.palette import CATEGORY, ROLE, ROLE_SHAPE

N_PERTURBATIONS = 24
"""The most that the strata chart tells apart."""


def split_chart(study: Study) -> alt.Chart:
    """Perturbation x context, coloured by what the first mode does with the cells; a menu picks the fold."""
    return split_grid(
        study.layout,
        "Which cells are used for what: one square per perturbation and context, coloured by training, validation, test; the menu picks the fold.",
    )


def _named(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with what readers see of method, mode and metric: predictor, role, name."""
    predictor = [label(study, m, mode) for m, mode in zip(rows["method"], rows["mode"], strict=True)]
    name = rows["metric"].map({key: METRICS[key].title for key in rows["metric"].unique()})
    return rows.assign(predictor=predictor, role=rows["method"].map(roles(study)), name=name)


def _three_digits(*fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{field}:Q", format=".3f") for field in fields]


def _every_value(study: Study, scores: pd.DataFrame, pick: alt.Parameter, **encode) -> alt.Chart:
    """A tick per condition and predictor; its tooltip holds the interval that its own measured cells leave it."""
    each = _named(study, scores.dropna(subset=["value"]))
    each["low"], each["high"] = (each["value"] + s * 1.96 * each["within_se"] for s in (-1, 1))
    each = each.round(4)
    columns = ["predictor", "name", "role", "condition", "value", "low", "high"]
    base = alt.Chart(each[columns]).transform_filter(alt.datum.name == pick)
    tips = ["condition", *_three_digits("value", "low", "high")]
    return base.mark_tick(thickness=2, opacity=0.55, size=16).encode(
        x=alt.X("value:Q"), tooltip=tips, **encode
    )


def score_chart(study: Study, resamples: int) -> alt.LayerChart:
    """Every predictor on the metric the reader picks: mean with interval, or every value below ten conditions."""
    scores, where = headline(study)
    scores = scores[
        ~scores["clipped"].astype(bool)
    ]  # clipped values exist to compare with tables, not to be seen
    summary = _named(study, summarise(scores, n=resamples)).round(5)
    summary = summary[summary["n_defined"] > 0]
    names = list(dict.fromkeys(summary["name"]))
    first = METRICS[MAIN].title if METRICS[MAIN].title in names else names[0]
    pick = alt.param(name="metric", value=first, bind=alt.binding_select(options=names, name="Metric: "))
    # a metric may have no interval at all, and an axis of nothing is a warning: its bars have no length
    summary["left"], summary["right"] = (summary[end].fillna(summary["mean"]) for end in ("low", "high"))
    columns = ["predictor", "role", "name", "mean", "low", "high", "left", "right", "n_defined", "n_total"]
    base = alt.Chart(summary[columns]).transform_filter(alt.datum.name == pick)
    y = alt.Y("predictor:N", title=None, sort=alt.EncodingSortField("mean", op="max", order="descending"))
    x = alt.X(
        "mean:Q",
        title=f"Score{where} (metric of the menu)",
        axis=alt.Axis(tickCount=8, labelOverlap=True),
        scale=alt.Scale(zero=False),
    )
    tips = ["predictor", *_three_digits("mean", "low", "high")]
    tips += [
        alt.Tooltip("n_defined:Q", title="conditions defined"),
        alt.Tooltip("n_total:Q", title="conditions"),
    ]
    present = [role for role in ROLE_SHAPE if role in set(summary["role"])]
    legend = {"title": "Role", "legend": alt.Legend(orient="top", columns=3)}
    color = alt.Color("role:N", scale=alt.Scale(domain=present, range=[ROLE[r] for r in present]), **legend)
    shape = alt.Shape(
        "role:N", scale=alt.Scale(domain=present, range=[ROLE_SHAPE[r] for r in present]), **legend
    )
    points = base.mark_point(filled=True, size=90, opacity=1).encode(x, y, color, shape, tooltip=tips)
    if len(study.bundle.truth.obs) < FEW:
        layers = [_every_value(study, scores, pick, y=y, color=color), points]
    else:
        bars = base.mark_rule(strokeWidth=2)
        layers = [bars.encode(x=alt.X("left:Q"), x2="right:Q", y=y, color=color), points]
    return (
        alt.layer(*layers)
        .add_params(pick)
        .properties(
            width="container",
            height=26 * summary["predictor"].nunique(),
            description=f"Score of every predictor{where} with its 95 % interval over conditions, beside floors and the split-half duplicate; the menu picks the metric.",
        )
    )


def strata_chart(study: Study, resamples: int) -> alt.LayerChart:
    """The same scores by what varies: dose, else context, else perturbation where there are few."""
    by, titled = _stratum(study.scores)
    methods = [m for m in dict.fromkeys(study.scores["method"]) if m != "shifted_controls"]
    rows = study.scores[
        study.scores["method"].isin(methods)
        & study.scores["metric"].isin(["r2_mean", MAIN, "rel_rmse_mean", "nir"])
    ]
    summary = _named(study, summarise(rows, by=[by], n=min(resamples, 1_000))).round(5)
    summary = summary[summary["n_defined"] > 0]
    names, everyone = list(dict.fromkeys(summary["name"])), list(dict.fromkeys(summary["predictor"]))
    pick = alt.param(
        name="measure",
        value=METRICS["r2_mean"].title,
        bind=alt.binding_select(options=names, name="Metric: "),
    )
    hover = alt.selection_point(name="line", fields=["predictor"], bind="legend")
    axis = (
        alt.X("dose_um:Q", title="Dose (µM, log scale)", scale=alt.Scale(type="log"))
        if by == "dose_um"
        else alt.X(f"{by}:N", title=titled, axis=alt.Axis(labelAngle=-30))
    )
    base = alt.Chart(summary[["predictor", "name", by, "mean", "low", "high", "n_defined"]]).transform_filter(
        alt.datum.name == pick
    )
    encode = {
        "x": axis,
        "y": alt.Y("mean:Q", title="Mean score (metric of the menu)", scale=alt.Scale(zero=False)),
        "color": alt.Color(
            "predictor:N",
            title="Predictor (click to single out)",
            legend=alt.Legend(orient="top", columns=2, labelLimit=260),
            scale=alt.Scale(domain=everyone, range=CATEGORY * 2),
        ),
        "shape": alt.Shape(
            "predictor:N",
            title="Predictor (click to single out)",
            legend=alt.Legend(orient="top", columns=2, labelLimit=260),
            scale=alt.Scale(domain=everyone),
        ),
        "opacity": alt.condition(hover, alt.value(1), alt.value(0.15)),
    }
    tips = [
        "predictor",
        by,
        alt.Tooltip("mean:Q", format=".3f"),
        alt.Tooltip("low:Q", format=".3f"),
        alt.Tooltip("high:Q", format=".3f"),
        "n_defined",
    ]
    points = base.mark_point(filled=True, size=70).encode(**encode, tooltip=tips)
    if by != "dose_um":
        layered = alt.layer(points)
    else:
        lines = base.mark_line().encode(**{k: v for k, v in encode.items() if k != "shape"})
        layered = alt.layer(lines, points)
    return layered.add_params(pick, hover).properties(
        width="container",
        height=300,
        description=f"Mean score of every predictor by {titled.lower()}; the menu picks the metric.",
    )


def _stratum(scores: pd.DataFrame) -> tuple[str, str]:
    """Column whose values the strata chart tells apart, and its title."""
    if not pd.isna(highest_dose(scores)[1]):
        return "dose_um", "Dose"
    if scores["context"].nunique() > 1 or scores["perturbation"].nunique() > N_PERTURBATIONS:
        return "context", "Context"
    return "perturbation", "Perturbation"
