"""What limits the adapter: it, all of the model fine-tuned, and the floors, side by side."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.evaluation.bundle import SCORES
from perturbook.evaluation.comparisons import comparisons
from perturbook.pages.drug_aims import ADAPTER, GOAL, KANG, RMSE, SHARED, SPLIT, ZERO, at_dose, stored
from perturbook.pages.html_table import table
from perturbook.pages.kept import folder_of
from perturbook.pages.present import cell, number
from perturbook.pages.standings import read_scores, title

FULL = f"{ADAPTER}_full"
LIMITS = ("no_change", "mean_per_drug", "context_ridge", ADAPTER, FULL, "oracle")
"""Predictors of a line never treated that show, side by side, what limits the adapter."""


def limits_table(bundles: str, resamples: int) -> HTML:
    """Error on a line never treated: floors, the adapter, all of the model fine-tuned, the oracle; paired with the adapter."""
    scores, _ = read_scores(folder_of(ZERO, bundles, SCORES))
    rows, dose = at_dose(scores[(scores["metric"] == RMSE) & scores["method"].isin(LIMITS)], 0)
    rows = rows[rows["mode"].isin(("", "B", "AB"))].assign(mode="")
    found = {}
    if stored(rows, ADAPTER):
        found = comparisons(rows, RMSE, ADAPTER, n=resamples).set_index("method")
    filled = []
    for method in LIMITS:
        mine = rows[rows["method"] == method]
        apart = "" if method == ADAPTER else "not yet shown"
        if method in getattr(found, "index", ()) and found.loc[method, "n_defined"]:
            apart = cell(found.loc[method].rename({"difference": "mean"}), 3)
        value = number(mine["value"].mean(), 3) if stored(rows, method) else "not yet shown"
        filled.append({"Predictor": title(method), "RMSE": value, "Minus the adapter": apart})
    where = f" at {dose:g} µM" if not pd.isna(dose) else ""
    return HTML(
        table(filled, f"Simulated cells: error on a line never treated{where}, mode B where modes differ")
    )


def blood_cells(bundles: str) -> Markdown:
    """Full fine-tuning beside adapter and floor on `KANG`, in a sentence per kind of controls; no intervals."""
    scores, _ = read_scores(folder_of(KANG, bundles, SCORES))
    if not (stored(scores, ADAPTER) and stored(scores, FULL)):
        return Markdown(f"“{title(FULL)}” or “{title(ADAPTER)}” is not yet shown on the blood cells.")
    said = [f"On the blood cells the goal is {GOAL:g} with shared controls."]
    for key, words in {SHARED: "shared", SPLIT: "split"}.items():
        mine = scores[(scores["metric"] == key) & scores["mode"].isin(("", "B", "AB"))]
        values = mine.pivot(index="condition", columns="method", values="value")
        means = {name: number(values[name].mean(skipna=False)) for name in (FULL, ADAPTER, "mean_train")}
        above = {name: (values[FULL] > values[name]).sum() for name in (ADAPTER, "mean_train")}
        said.append(
            f"With {words} controls “{title(FULL)}” has a mean of {means[FULL]}, the adapter {means[ADAPTER]} and the mean of "
            f"training {means['mean_train']}; of {len(values)} types, it is above the adapter in {above[ADAPTER]} and above the "
            f"mean of training in {above['mean_train']}."
        )
    return Markdown(" ".join(said))
