"""What a setting page says of differences: every predictor against the best floor, and scores by stratum."""

import pandas as pd
from IPython.display import HTML

from perturbook.evaluation import CEILING, METRICS, summarise
from perturbook.evaluation.comparisons import comparisons
from perturbook.evaluation.score import FEW
from perturbook.evaluation.strata import add_strata, strata
from perturbook.evaluation.withheld import withheld
from perturbook.pages.html_table import Markup, join, table
from perturbook.pages.present import SHORT, best, cell, headline, label, number
from perturbook.pages.study import Study

COMPARED = ["pearson_delta_ctrl", "rmse_mean"]


def against_best_floor(study: Study, resamples: int = 10_000) -> HTML:
    """Paired difference of every predictor to the best floor of each metric in `COMPARED`: interval, and q of a signed-rank test."""
    scores, where = headline(study)
    floors = {metric: best(study, scores, metric, ("floor",)) for metric in COMPARED}
    floors = {metric: floor for metric, floor in floors.items() if floor is not None}
    if not floors:
        return HTML("<p>No floor of this page has a defined score.</p>")
    against = {metric: floor["method"] for metric, floor in floors.items()}
    made = comparisons(scores, list(floors), against, n=resamples)
    made = made[made["n_defined"] > 0]
    doubles = bool(scores["perturbation"].str.contains("+", regex=False).any())
    rows: dict[str, dict] = {}
    for _, row in made.iterrows():
        name = label(study, row["method"], row["mode"])
        column = _minus(study, row["metric"], floors)
        mine = rows.setdefault(name, {"Predictor": name})
        mine[column] = cell(row.rename({"difference": "mean"}), 3)
        if doubles and not pd.isna(row["naive_low"]):
            naive = f" naive [{number(row['naive_low'])}, {number(row['naive_high'])}]"
            mine[column] = join(mine[column], Markup("<small>"), naive, Markup("</small>"))
        mine[f"q, {SHORT[row['metric']]}"] = "<0.001" if row["q"] < 0.001 else number(row["q"])
    named = [c for m in floors for c in (_minus(study, m, floors), f"q, {SHORT[m]}")]
    filled = [{key: row.get(key, "–") for key in ("Predictor", *named)} for row in rows.values()]
    family = int(made["family"].max()) if len(made) else 0
    note = (
        f"<p>q is the two-sided Wilcoxon signed-rank test over perturbations, corrected by Benjamini and Hochberg for the {family} "
        "comparisons of this table; few perturbations cannot give a small one."
        + (
            " Doubles share genes: the interval resamples genes, the naive one beside it resamples doubles as if they shared none."
            if doubles
            else ""
        )
        + "</p>"
    )
    return HTML(table(filled, f"Difference to the best floor{where}, paired over conditions") + note)


def _minus(study: Study, metric: str, floors: dict[str, pd.Series]) -> str:
    return f"{SHORT[metric]}, minus {label(study, floors[metric]['method'], floors[metric]['mode'])}"


def strata_table(study: Study, resamples: int = 10_000) -> HTML:
    """Scores of the best simple predictors and of the duplicate by effect, by cells, and by planted interaction."""
    truth = study.bundle.truth
    if withheld(truth) or len(truth.obs) < FEW:
        return HTML("<p>Too few conditions, or no measurements at hand, to divide this page into strata.</p>")
    labels = strata(truth).rename(columns={"effect_tercile": "Effect", "cells_tercile": "Cells measured"})
    if (planted := _planted(study)) is not None:
        labels["Planted interaction"] = planted.reindex(labels.index).to_numpy()
    labels = labels[[name for name in labels if labels[name].nunique() > 1]]
    return HTML("".join(_strata(study, labels, metric, resamples) for metric in COMPARED))


def _strata(study: Study, labels: pd.DataFrame, metric: str, resamples: int) -> str:
    scores = add_strata(study.scores[study.scores["metric"] == metric], labels)
    tops = [best(study, scores, metric, (role,)) for role in ("floor", "opponent", "oracle")]
    chosen = [(top["method"], top["mode"]) for top in tops if top is not None] + [(CEILING, "")]
    rows = []
    for stratum in labels:
        by = summarise(scores, by=[stratum], n=resamples).set_index(["method", "mode", stratum])
        for level, size in labels[stratum].value_counts(sort=False).items():
            if size:
                row = {"Stratum": f"{stratum}: {level}", "Conditions": size}
                rows.append(row | {label(study, *key): cell(by.loc[(*key, level)], 2) for key in chosen})
    return table(rows, f"“{METRICS[metric].title}” by stratum, all doses; thirds by effect and cells")


def _planted(study: Study) -> pd.Series | None:
    """Class of interaction of each simulated double by condition key; None elsewhere."""
    known = study.cells.uns.get("truth", {}) if study.cells is not None else {}
    return known["doubles"]["interaction_class"] if "doubles" in known else None
