"""The L1000 chapter: one advantage, scored per profile and per condition, with shared and with split control wells."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.evaluation import CEILING, compare, summarise
from perturbook.evaluation.bundle import SCORES
from perturbook.pages.html_table import table
from perturbook.pages.kept import folder_of
from perturbook.pages.present import cell, interval
from perturbook.pages.standings import read_scores, title

VIEWS = {"l1000-per-profile": "per profile", "l1000-unseen-drug": "per condition"}
"""Pages of the same split by drug: the first takes a plate as context, the second the line."""
KEYS = {"pearson_delta_ctrl_shared": "shared controls", "pearson_delta_ctrl": "split controls"}
PLATE = {"per profile": "mean_per_context", "per condition": "mean_per_batch"}
"""The mean of training on the same plate, as each view can compute it."""
METHODS = ("mean_train", "plate", "knn", "morgan_ridge", CEILING)
PLATE_TITLE = "Mean of the same plate"


def read(bundles: str) -> pd.DataFrame:
    """Scores of both pages on both keys, with a column `view`; the plate mean is called `plate` in both.

    Raises:
        InputError: a page is neither in `bundles` nor deposited.
    """
    parts = []
    for page, view in VIEWS.items():
        scores, _ = read_scores(folder_of(page, bundles, SCORES))
        scores = scores[scores["metric"].isin(KEYS)].assign(view=view)
        parts.append(scores.assign(method=scores["method"].replace(PLATE[view], "plate")))
    return pd.concat(parts, ignore_index=True)


def named(method: str) -> str:
    """Method as a reader sees it."""
    return PLATE_TITLE if method == "plate" else title(method)


def means(scores: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """Mean with interval of every method in every view and key."""
    return summarise(scores[scores["method"].isin(METHODS)], by=["view"], n=resamples)


def mean_table(scores: pd.DataFrame, resamples: int) -> HTML:
    """Methods x (view, key)."""
    rows = means(scores, resamples).set_index(["method", "view", "metric"])
    filled = [
        {"Predictor": named(method)}
        | {
            f"{view}, {word}": cell(rows.loc[(method, view, key)], 2)
            for view in VIEWS.values()
            for key, word in KEYS.items()
        }
        for method in METHODS
    ]
    return HTML(
        table(filled, "Correlation of the predicted with the measured change, mean over unseen drugs")
    )


def gap(scores: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """Paired advantage of the plate mean over the mean of all training profiles, one row per view and key."""
    rows = []
    for view in VIEWS.values():
        for key in KEYS:
            mine = scores[scores["view"] == view]
            rows.append({"view": view, "key": key, **compare(mine, key, "plate", "mean_train", n=resamples)})
    return pd.DataFrame(rows)


def gap_table(scores: pd.DataFrame, resamples: int) -> HTML:
    """`gap` with intervals."""
    filled = [
        {
            "Scored": row["view"],
            "Controls": KEYS[row["key"]],
            "Plate mean minus mean of training": cell(row, 3),
        }
        for _, row in gap(scores, resamples).iterrows()
    ]
    return HTML(table(filled, "Mean of the same plate minus mean of training, paired over conditions"))


def answer(scores: pd.DataFrame, resamples: int) -> Markdown:
    """The chapter in a sentence."""
    rows = gap(scores, resamples).set_index(["view", "key"])
    first = interval(rows.loc[("per profile", "pearson_delta_ctrl_shared")])
    last = interval(rows.loc[("per condition", "pearson_delta_ctrl")])
    return Markdown(
        f"**Per profile and with shared control wells, the mean of the same plate leads the mean of training by {first}; per "
        f"condition and with split wells by {last}.**"
    )
