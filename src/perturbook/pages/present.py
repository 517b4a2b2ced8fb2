"""What a setting page says in words and tables: every number in them comes from a scored bundle."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.evaluation import CEILING, METRICS, compare, summarise
from perturbook.pages import frame
from perturbook.pages.html_table import items, table
from perturbook.pages.study import Study

MAIN = "pearson_delta_ctrl"
SHOWN = [
    "pearson_delta_ctrl",
    "pearson_delta_centroid",
    "r2_mean",
    "r2_mean_deg50",
    "nir",
    "edist_u",
    "var_ratio",
]
SHORT = {
    "pearson_delta_ctrl": "Pearson, control",
    "pearson_delta_centroid": "Pearson, centroid",
    "r2_mean": "R²",
    "r2_mean_deg50": "R², top 50",
    "nir": "Retrieval",
    "edist_u": "Energy distance",
    "var_ratio": "Variance ratio",
}
TITLES = {CEILING: "Split-half duplicate"}


def titled(study: Study) -> dict[str, str]:
    """Title per method, the ceiling included."""
    return {**{p.name: p.title for p in study.bundle.predictions}, **TITLES}


def roles(study: Study) -> dict[str, str]:
    """Role per method, the ceiling included."""
    return {**{p.name: p.role for p in study.bundle.predictions}, CEILING: "ceiling"}


def label(study: Study, method: str, mode: str) -> str:
    """Method as a reader sees it, with its zero-shot mode where modes differ."""
    modes = {"A": " (mode A)", "B": " (mode B)", "AB": "", "": ""}
    return titled(study)[method] + modes[mode]


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


def banner(study: Study) -> HTML:
    """Say first what a reader must know: simulated cells, or deposited results; nothing for live real cells."""
    said = "Scores come from the predictions deposited with the project; cells are not shown."
    return frame.notices(study.bundle.truth.facts["synthetic"], said if study.deposited else "")


def best(
    study: Study, metric: str = MAIN, roles_: tuple[str, ...] = ("floor", "opponent")
) -> pd.Series | None:
    """Summary row of the best predictor among `roles_` by the mean of `metric`; None where none is defined."""
    rows = summarise(study.scores[study.scores["metric"] == metric], n=100)
    rows = rows[rows["method"].map(roles(study)).isin(roles_) & rows["mean"].notna()]
    order = study.bundle.manifest["parameters"][
        "models"
    ]  # of equals the first named, the simplest, stands for all
    rows = rows.sort_values("method", key=lambda names: names.map(order.index), kind="stable").round(
        {"mean": 9}
    )
    down = METRICS[metric].better == "down"
    return None if rows.empty else rows.loc[rows["mean"].idxmin() if down else rows["mean"].idxmax()]


def answer(study: Study, resamples: int = 10_000) -> Markdown:
    """The page's answer in a sentence: best simple predictor, its interval, and the split-half duplicate."""
    top = best(study)
    if top is None:
        return Markdown("**No predictor of this page has a defined score.**")
    rows = study.scores[study.scores["metric"] == MAIN]
    mine = rows[(rows["method"] == top["method"]) & (rows["mode"] == top["mode"])]
    row = summarise(mine, n=resamples).iloc[0]
    ceiling = summarise(rows[rows["method"] == CEILING], n=100).iloc[0]
    return Markdown(
        f"**The best simple predictor is “{label(study, top['method'], top['mode'])}”: the change it predicts correlates with the "
        f"measured change at {interval(row)} over {row['n_total']} conditions; one half of the measured cells predicts the other at "
        f"{number(ceiling['mean'])}.**"
    )


def score_table(study: Study, resamples: int = 10_000) -> HTML:
    """Methods x main metrics, each mean with its 95 % interval; below it the predictors that do not apply, with reasons."""
    rows = summarise(study.scores[study.scores["metric"].isin(SHOWN)], n=resamples)
    absent = {p.name: p for p in study.bundle.predictions if p.mean is None}
    shown: dict[str, dict] = {}
    for _, row in rows[~rows["method"].isin(absent)].iterrows():
        name = label(study, row["method"], row["mode"])
        shown.setdefault(name, {"Predictor": name})[SHORT[row["metric"]]] = interval(row, 2)
    keys = ["Predictor", *(SHORT[key] for key in SHOWN)]
    table_ = table([{key: row[key] for key in keys} for row in shown.values()], "Mean score over conditions")
    notes = items(f"{p.title}: {p.reason}." for p in absent.values())
    return HTML(table_ + (f"<p>Not applicable here:</p>{notes}" if absent else ""))


def against_best_floor(study: Study, resamples: int = 10_000) -> HTML:
    """Paired difference of every predictor to the best floor on the main metric, with its interval."""
    floor = best(study, MAIN, ("floor",))
    rows = []
    for method, mode in study.scores[["method", "mode"]].drop_duplicates().itertuples(index=False):
        if floor is None or method in (floor["method"], CEILING):
            continue
        pair = study.scores[
            ((study.scores["method"] == method) & (study.scores["mode"] == mode))
            | ((study.scores["method"] == floor["method"]) & (study.scores["mode"] == floor["mode"]))
        ]
        d = compare(pair, MAIN, method, floor["method"], n=resamples)
        if d["n_defined"]:
            rows.append(
                {
                    "Predictor": label(study, method, mode),
                    "minus": label(study, floor["method"], floor["mode"]),
                    "Difference": interval(d),
                }
            )
    return HTML(table(rows, f"Difference in “{METRICS[MAIN].title}”, paired over conditions"))


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
