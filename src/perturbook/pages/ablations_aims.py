"""The aims on simulated drugs over several seeds: the aims of `drug_aims`, judged by the scores of the ablations."""

from dataclasses import replace

import pandas as pd
from IPython.display import HTML

from perturbook.evaluation import METRICS
from perturbook.pages.ablations import Ablations
from perturbook.pages.ablations_reading import gain, in_words
from perturbook.pages.drug_aims import (
    ABSENT,
    AIMS,
    COMBINATION,
    DRUG,
    FEW,
    RMSE,
    WANTED,
    ZERO,
    Aim,
    at_dose,
    verdict,
)
from perturbook.pages.html_table import Markup, join, table
from perturbook.pages.present import cell, number
from perturbook.pages.standings import title

SETTING = {
    COMBINATION: "unseen_combination",
    DRUG: "unseen_drug",
    FEW: "few_shot_context",
    ZERO: "zero_shot_context",
}
"""Page of an aim -> setting in which the ablations ask the same."""


def judged(shown: Ablations, resamples: int = 10_000) -> pd.DataFrame:
    """Judge every aim of `drug_aims` that a setting of the page can answer, over all seeds.

    A condition that several seeds ask about is averaged first; the interval resamples drugs whole, as `gain` does.

    Returns:
        Columns aim, setting, dose_um, difference (first minus second), low, high, n_defined, n_total, seeds, by_seed (mean
        difference of each seed, in the order of the page; NaN where nothing is stored) and verdict.
    """
    asked = [aim for aim in AIMS if SETTING.get(aim.page) in shown.settings and aim.metric == RMSE]
    return pd.DataFrame([_judged(shown, aim, resamples) for aim in asked])


def _judged(shown: Ablations, aim: Aim, resamples: int) -> dict:
    setting, rows = SETTING[aim.page], shown.scores[shown.scores["metric"] == aim.metric]
    rows, dose = at_dose(rows[rows["setting"] == setting], aim.dose)
    here = replace(shown, scores=rows)
    better = gain(here, aim.metric, setting, aim.second, resamples, aim.first)
    by_seed = [
        -gain(
            replace(shown, scores=rows[rows["seed"] == seed]), aim.metric, setting, aim.second, 2, aim.first
        )["mean"]
        for seed in shown.values["seeds"]
    ]
    row = {
        **{"aim": aim, "setting": setting, "dose_um": dose},
        **{"difference": -better["mean"], "low": -better["high"], "high": -better["low"]},
        **{name: better[name] for name in ("n_defined", "n_total", "seeds")},
        "by_seed": by_seed,
    }
    return {**row, "verdict": verdict(aim, pd.Series(row)) if better["n_defined"] else ABSENT}


def aims_table(shown: Ablations, resamples: int = 10_000) -> HTML:
    """One row per aim: difference and verdict over all seeds, and the difference of each seed."""
    found = judged(shown, resamples)
    if found.empty:
        return HTML("<p>No aim of this book is about a setting of this page.</p>")
    filled = [
        {
            "Aim": join(
                f"{row['aim'].words[0].upper()}{row['aim'].words[1:]} ({in_words(row['setting'])})",
                Markup("<br>"),
                f"{title(row['aim'].first)} minus {title(row['aim'].second)} at {row['dose_um']:g} µM",
            ),
            "Verdict": row["verdict"],
            "All seeds": cell(row.rename({"difference": "mean"}), 3) if row["n_defined"] else "–",
            "Wanted": WANTED[row["aim"].wanted][0],
            **{
                f"Seed {seed}": number(value, 3)
                for seed, value in zip(shown.values["seeds"], row["by_seed"], strict=True)
            },
        }
        for _, row in found.iterrows()
    ]
    caption = f"Aims over seeds: “{METRICS[RMSE].title}”, first minus second, with its 95 % bootstrap interval over drugs"
    return HTML(table(filled, caption, ("Aim", "Verdict")))
