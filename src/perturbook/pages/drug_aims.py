"""What this book wanted of the adapter, and what came of it: one list of aims, one rule, verdicts from stored scores."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from perturbook.evaluation import METRICS
from perturbook.evaluation.bundle import SCORES
from perturbook.evaluation.comparisons import comparisons
from perturbook.pages.kept import folder_of
from perturbook.pages.standings import read_scores, title

COMBINATION, DRUG = "simulated-unseen-combination", "simulated-unseen-drug"
FEW, ZERO, SHUFFLED = "simulated-few-shot", "simulated-zero-shot", "simulated-zero-shot-shuffled"
KANG, L1000 = "kang-zero-shot", "l1000-unseen-drug"
ADAPTER, RMSE = "scdca", "rmse_mean"
SHARED, SPLIT = "pearson_delta_ctrl_shared", "pearson_delta_ctrl"
GOAL = 0.85
"""Correlation wanted of a cell type never treated; our choice."""
MET, MISSED, UNDEFINED = "met", "missed", "undefined"
ABSENT = "not yet shown: no stored prediction"

WANTED = {
    "below": ("wholly below 0", lambda low, high: high < 0),
    "above": ("wholly above 0", lambda low, high: low > 0),
    "not above": ("reaches 0 or below", lambda low, high: low <= 0),
    "not below": ("reaches 0 or above", lambda low, high: high >= 0),
}
"""What an aim wants of the interval of a difference: words for a reader, and the rule. Where there are too few conditions
for an interval the mean stands for both of its ends."""


@dataclass(frozen=True)
class Aim:
    """One wanted difference between two predictors of a page, first minus second."""

    words: str
    """What is wanted, for a reader."""
    page: str
    """Page whose stored scores decide."""
    first: str
    """Predictor."""
    second: str | float
    """Predictor that is subtracted, or a number that every condition is compared with."""
    metric: str
    """Key of the metric."""
    wanted: str
    """Key of `WANTED`."""
    dose: int | None = None
    """Place of the dose counted from the highest, 0; None takes all conditions."""


AIMS: tuple[Aim, ...] = (
    *(
        Aim("beats the context-aware ridge", page, ADAPTER, "context_ridge", RMSE, "below", dose)
        for page in (ZERO, FEW)
        for dose in (0, 1)
    ),
    Aim("is no worse than a ridge on fingerprints", DRUG, ADAPTER, "morgan_ridge", RMSE, "not above", 0),
    Aim("shuffled drugs lose what drugs gave", DRUG, f"{ADAPTER}_shuffled", ADAPTER, RMSE, "above", 0),
    *(
        Aim("permuted drugs lose what drugs gave", page, f"{ADAPTER}_permuted", ADAPTER, RMSE, "above", 0)
        for page in (COMBINATION, FEW, ZERO)
    ),
    Aim(
        "gains over the drug's mean in a line never treated", ZERO, ADAPTER, "mean_per_drug", RMSE, "below", 0
    ),
    Aim(
        "gains nothing where untreated cells tell nothing",
        *(SHUFFLED, ADAPTER, "mean_per_drug", RMSE, "not below", 0),
    ),
    Aim(f"reaches a correlation of {GOAL}", KANG, ADAPTER, GOAL, SHARED, "above"),
    Aim("beats the mean of training", KANG, ADAPTER, "mean_train", SHARED, "above"),
    *(
        Aim(words, L1000, ADAPTER, second, metric, "above")
        for words, second in (
            ("beats the mean of training", "mean_train"),
            ("beats itself with shuffled drugs", f"{ADAPTER}_shuffled"),
        )
        for metric in (SHARED, SPLIT)
    ),
)
"""Every aim of the page, in its order."""


def judge_all(bundles: str, resamples: int, aims: tuple[Aim, ...] = AIMS) -> pd.DataFrame:
    """Judge every aim by the scores stored with its page.

    Args:
        bundles: folder with one bundle per page; the deposits when empty.
        resamples: bootstrap resamples over what conditions share, such as drugs.
        aims: what is wanted.

    Returns:
        The rows of `judge`, one aim after the other.

    Raises:
        InputError: a page is neither in `bundles` nor deposited. ConfigError: an aim names an unknown metric.
    """
    scores = cache(lambda page: read_scores(folder_of(page, bundles, SCORES))[0])
    rows = [row for aim in aims for row in judge(aim, scores(aim.page), resamples)]
    return pd.DataFrame(rows)


def judge(aim: Aim, scores: pd.DataFrame, resamples: int) -> list[dict]:
    """Verdict on one aim, one row per zero-shot mode that differs.

    Args:
        aim: what is wanted.
        scores: long table of the aim's page, as `standings.read_scores` gives it.
        resamples: see `judge_all`.

    Returns:
        Dictionaries with aim, dose_um, mode, against_mode, difference, low, high, interval, n_defined, n_total, verdict and
        absent, the titles of predictors without a stored prediction.
    """
    METRICS[aim.metric]
    named = [one for one in (aim.first, aim.second) if isinstance(one, str)]
    absent = [one for one in named if not stored(scores, one)]
    rows, dose = at_dose(scores[scores["metric"] == aim.metric], aim.dose)
    made = {"aim": aim, "dose_um": dose, "absent": [title(one) for one in absent]}
    if absent:
        return [{**made, **NOTHING, "verdict": ABSENT}]
    second, rows = aim.second, rows[rows["method"].isin(named)]
    if rows.empty:
        return [{**made, **NOTHING, "verdict": UNDEFINED}]
    if not isinstance(second, str):
        second, rows = "goal", _with_goal(rows, aim)
    found = comparisons(rows, aim.metric, second, n=resamples)
    found = found[found["method"] == aim.first]
    return [
        {**made, **row[list(NOTHING)].to_dict(), "verdict": verdict(aim, row)} for _, row in found.iterrows()
    ]


NOTHING = {
    **{"mode": "", "against_mode": "", "difference": np.nan, "low": np.nan, "high": np.nan},
    **{"interval": "", "n_defined": 0, "n_total": 0},
}
"""What a row holds where a prediction is missing."""


def verdict(aim: Aim, row: pd.Series) -> str:
    """Met, missed or undefined, by the interval `low` to `high`, or by `difference` where there is none."""
    if not row["n_defined"]:
        return UNDEFINED
    ends = [row["difference"] if np.isnan(row[end]) else row[end] for end in ("low", "high")]
    return MET if WANTED[aim.wanted][1](*ends) else MISSED


def stored(scores: pd.DataFrame, method: str) -> bool:
    """Whether a predictor has a value on any metric; one that does not apply has rows without values."""
    return bool(scores.loc[scores["method"] == method, "value"].notna().any())


def at_dose(scores: pd.DataFrame, place: int | None) -> tuple[pd.DataFrame, float]:
    """Rows at one dose, counted from the highest, and that dose in micromolar; all rows and NaN without a place."""
    if place is None:
        return scores, np.nan
    doses = np.sort(scores["dose_um"].dropna().unique())[::-1]
    if place >= len(doses):
        return scores.iloc[:0], np.nan
    return scores[scores["dose_um"] == doses[place]], float(doses[place])


def _with_goal(scores: pd.DataFrame, aim: Aim) -> pd.DataFrame:
    """Rows of the first predictor beside a predictor called goal that has the wanted number everywhere."""
    goal = scores.drop_duplicates("condition").assign(method="goal", mode="", value=float(aim.second))
    return pd.concat([scores[scores["method"] == aim.first], goal], ignore_index=True)
