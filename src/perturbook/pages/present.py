"""What a setting page says in words and tables: every number in them comes from a scored bundle."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.evaluation import CEILING, CEILINGS, METRICS, highest_dose, summarise
from perturbook.evaluation.dynamic_range import NOT_RESOLVABLE, own_range
from perturbook.evaluation.score import FEW
from perturbook.pages import frame
from perturbook.pages.html_table import Markup, items, join, table
from perturbook.pages.standings import TITLES
from perturbook.pages.study import Study

MAIN = "pearson_delta_ctrl"
SHOWN = [
    *("pearson_delta_ctrl", "pearson_delta_ctrl_shared", "pearson_delta_centroid"),
    *("r2_mean", "rmse_mean", "nir", "var_ratio"),
]
SHORT = {
    "pearson_delta_ctrl": "Pearson, split controls",
    "pearson_delta_ctrl_shared": "Pearson, shared controls",
    "pearson_delta_centroid": "Pearson, centroid",
    "r2_mean": "R²",
    "rmse_mean": "RMSE",
    "nir": "Retrieval",
    "var_ratio": "Variance ratio",
}


def titled(study: Study) -> dict[str, str]:
    """Title per method, the ceiling included."""
    return {**{p.name: p.title for p in study.bundle.predictions}, **TITLES}


def roles(study: Study) -> dict[str, str]:
    """Role per method, the ceiling included."""
    return {**{p.name: p.role for p in study.bundle.predictions}, **dict.fromkeys(CEILINGS, "ceiling")}


def label(study: Study, method: str, mode: str) -> str:
    """Method as a reader sees it, with its zero-shot mode where modes differ."""
    words = {"A": " (mode A)", "B": " (mode B)", "AB": "", "": ""}
    return titled(study)[method] + words.get(mode, f" ({mode})")


def in_words(condition: pd.Series) -> str:
    """A condition as a reader sees it, such as "A549, Vorinostat, 10 µM"."""
    dose = "" if pd.isna(condition["dose_um"]) else f", {condition['dose_um']:g} µM"
    return f"{condition['context']}, {condition['perturbation']}{dose}"


def number(value: float, digits: int = 3) -> str:
    """A number for a sentence, or the word undefined."""
    return "undefined" if pd.isna(value) else f"{round(value, digits) + 0.0:.{digits}f}"


def interval(row: pd.Series, digits: int = 3) -> str:
    """Mean with its interval, or with the count of defined conditions where some are not."""
    if not row["n_defined"]:
        return f"undefined (0 of {row['n_total']})"
    bounds = "" if pd.isna(row["low"]) else f" [{number(row['low'], digits)}, {number(row['high'], digits)}]"
    some = "" if row["n_defined"] == row["n_total"] else f" ({row['n_defined']} of {row['n_total']})"
    return f"{number(row['mean'], digits)}{bounds}{some}"


def cell(row: pd.Series, digits: int) -> Markup:
    """`interval` for a narrow column: the bounds or the count on a line of their own."""
    value, _, rest = interval(row, digits).partition(" ")
    return join(value, Markup("<small>"), rest, Markup("</small>")) if rest else Markup(value)


def banner(study: Study) -> HTML:
    """Say first what a reader must know: simulated cells, or deposited results; nothing for live real cells."""
    said = "Scores come from the predictions deposited with the project; cells are not shown."
    if study.differs:
        said += f" They were made with other values of {', '.join(study.differs)} than this run asked for."
    return frame.notices(study.bundle.truth.facts["synthetic"], said if study.deposited else "")


def headline(study: Study) -> tuple[pd.DataFrame, str]:
    """Scores at the highest dose and the words for it; all scores and no words where doses do not vary."""
    scores, dose = highest_dose(study.scores)
    return scores, "" if pd.isna(dose) else f" at {dose:g} µM"


def best(study: Study, scores: pd.DataFrame, metric: str, among: tuple[str, ...]) -> pd.Series | None:
    """Summary row of the best predictor whose role is in `among`; None where none is defined.

    Of equals the one named first in the page's parameters, the simplest, stands for all.
    """
    rows = summarise(scores[scores["metric"] == metric], n=10)
    rows = rows[rows["method"].map(roles(study)).isin(among) & rows["mean"].notna()]
    order = list(study.bundle.manifest["parameters"]["models"])
    rows = rows.sort_values("method", key=lambda names: names.map(order.index), kind="stable").round(
        {"mean": 9}
    )
    down = METRICS[metric].better == "down"
    return None if rows.empty else rows.loc[rows["mean"].idxmin() if down else rows["mean"].idxmax()]


def _of(scores: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    return scores[(scores["method"] == row["method"]) & (scores["mode"] == row["mode"])]


def answer(study: Study, resamples: int = 10_000) -> Markdown:
    """The page's answer in a sentence: best simple predictor, its interval, and the split-half duplicate."""
    scores, where = headline(study)
    top = best(study, scores, MAIN, ("floor", "opponent"))
    if top is None:
        return Markdown("**No simple predictor of this page has a defined score.**")
    rows = scores[scores["metric"] == MAIN]
    row = summarise(_of(rows, top), n=resamples).iloc[0]
    ceiling = rows.loc[rows["method"] == CEILING, "value"].mean()
    return Markdown(
        f"**The best simple predictor{where} is “{label(study, top['method'], top['mode'])}”: the change it predicts "
        f"correlates with the measured change at {interval(row)}, the mean over {row['n_total']} conditions; one half of "
        f"the measured cells predicts the other half at {number(ceiling)}.**"
    )


def score_table(study: Study, resamples: int = 10_000) -> HTML:
    """Methods x main metrics at the highest dose and over all; below them the predictors that do not apply, with reasons."""
    scores, where = headline(study)
    tables = [_scores(study, scores, f"Mean score over conditions{where}", resamples)]
    if where:
        every = _scores(study, study.scores, "Mean score over conditions of all doses", resamples)
        tables.append(f"<details><summary>The same over all doses</summary>{every}</details>")
    if len(study.bundle.truth.obs) < FEW:
        tables.append(_every_value(study, scores))
    gone = _absent(study)
    absent = [p for p in study.bundle.predictions if p.mean is None and p.name in gone]
    notes = items(f"{p.title}: {p.reason}." for p in absent)
    return HTML("".join(tables) + (f"<p>Not applicable here:</p>{notes}" if absent else ""))


def _scores(study: Study, scores: pd.DataFrame, caption: str, resamples: int) -> str:
    rows = summarise(
        scores[scores["metric"].isin(SHOWN) & ~scores["method"].isin(_absent(study))], n=resamples
    )
    shown: dict[str, dict] = {}
    for _, row in rows.iterrows():
        name = label(study, row["method"], row["mode"])
        shown.setdefault(name, {"Predictor": name})[SHORT[row["metric"]]] = cell(row, 2)
    keys = ["Predictor", *(SHORT[key] for key in SHOWN)]
    filled = [{key: row[key] for key in keys} for row in shown.values()]
    return table([_room(scores), *filled], caption)


def _absent(study: Study) -> set[str]:
    """Predictors with neither a prediction nor a score; a deposit may hold a score alone."""
    scored = set(study.scores.loc[study.scores["value"].notna(), "method"])
    return {p.name for p in study.bundle.predictions if p.mean is None} - scored


def _room(scores: pd.DataFrame) -> dict[str, str]:
    """First row of the score table: how far a repeated measurement gets from the mean of training towards perfection."""
    found = own_range(scores[scores["metric"].isin(SHOWN)]).set_index("metric")
    row = {"Predictor": "Dynamic range of the metric"}
    for key in SHOWN:
        known = key in found.index and found.loc[key, "n_defined"] > 0
        row[SHORT[key]] = number(found.loc[key, "median"], 2) if known else "undefined"
        if known and found.loc[key, "label"] == NOT_RESOLVABLE:
            row[SHORT[key]] += f", {NOT_RESOLVABLE}"
    return row


def _every_value(study: Study, scores: pd.DataFrame) -> str:
    """Conditions x predictors on the main metric, each value with the interval that its own measured cells leave it."""
    scores = scores[(scores["metric"] == MAIN) & scores["value"].notna()]
    made: dict[str, dict] = {}
    for _, row in scores.iterrows():
        bounds = (row["value"] + side * 1.96 * row["within_se"] for side in (-1, 1))
        known = {"mean": row["value"], "n_defined": 1, "n_total": 1} | dict(
            zip(("low", "high"), bounds, strict=True)
        )
        name = in_words(row)
        made.setdefault(name, {})[label(study, row["method"], row["mode"])] = cell(pd.Series(known), 2)
    names = dict.fromkeys(name for row in made.values() for name in row)
    # two predictors with the same words in every row are one column
    columns = list(
        {tuple(row.get(name) for row in made.values()): name for name in reversed(names)}.values()
    )[::-1]
    rows = [
        {"Condition": name, **{c: row.get(c, "undefined") for c in columns}}
        for name, row in sorted(made.items())
    ]
    caption = f"Every value of “{METRICS[MAIN].title}”, with the 95 % interval over its own measured cells; predictors with equal values stand once"
    return table(rows, caption)


def audit_table(study: Study) -> HTML:
    """The audit of every fold and mode: what was held out, cells per part, checks passed."""
    rows = []
    for entry in study.audits:
        c = entry["counts"]
        held = ", ".join(entry["held_out"][:3]) + (
            f" and {len(entry['held_out']) - 3} more" if len(entry["held_out"]) > 3 else ""
        )
        row = {
            "Held out": held or "cells at random",
            "Mode": entry["mode"],
            "Training": c["train"],
            "Validation": c["valid"],
        }
        rows.append(
            {
                **row,
                "Test": c["test"],
                "Shown": c["query"],
                "Conditions": c["conditions"],
                "Checks passed": len(entry["checks"]),
            }
        )
    if not any(row["Mode"] for row in rows):
        rows = [{k: v for k, v in row.items() if k != "Mode"} for row in rows]
    checks = items(study.audits[0]["checks"])
    return HTML(
        f"{table(rows, 'Audited splits, cells per part')}<p>Passed for the first row, and alike for the others:</p>{checks}"
    )


def provenance(study: Study) -> HTML:
    """What this page was made of, and the command that repeats it."""
    facts = study.bundle.truth.facts
    return frame.footer(
        study.bundle.manifest,
        f"{facts['value_kind']}; scored as {facts['scale']}; {len(study.bundle.truth.genes)} genes (panel {facts['panel_hash'][:12]})",
    )
