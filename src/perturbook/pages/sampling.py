"""Sampling or averaging: whether the error of generated cells falls because they are right, or because they are alike."""

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.evaluation import CEILING, METRICS
from perturbook.evaluation.bundle import SCORES
from perturbook.pages import traps_published
from perturbook.pages.html_table import table
from perturbook.pages.kept import folder_of
from perturbook.pages.present import number
from perturbook.pages.standings import read_scores, role, title
from perturbook.pages.table import page as page_of

PAGES = ("norman-seen-single", "norman-seen-2")
"""Pages whose predictors stand side by side."""
ERROR, RATIO, DISTANCE, MEANS = "rel_rmse_cell", "var_ratio", "edist_u", "rmse_mean"
SHOWN = (ERROR, RATIO, DISTANCE, MEANS)
MODEL = "perturbed_vae"
WANTED = (0.8, 1.25)
"""Variance ratio wanted of a sampler. Source: our choice."""


def read(bundles: str) -> pd.DataFrame:
    """Mean scores of every predictor of `PAGES` that is defined there.

    Args:
        bundles: folder with one bundle per page; the deposits when empty.

    Returns:
        Columns page (its title), method, predictor, role, conditions (with a defined error), and one per key of `SHOWN`.

    Raises:
        InputError: a page is neither in `bundles` nor deposited.
    """
    parts = []
    for page in PAGES:
        scores, _ = read_scores(folder_of(page, bundles, SCORES))
        scores = scores[scores["metric"].isin(SHOWN)]
        wide = scores.pivot_table(index="method", columns="metric", values="value", sort=False)
        count = scores[scores["metric"] == ERROR].groupby("method")["value"].count()
        rows = wide.dropna(subset=[ERROR, RATIO]).reset_index()
        rows = rows.assign(
            page=page_of(page).title,
            predictor=rows["method"].map(title),
            role=rows["method"].map(role),
            conditions=rows["method"].map(count),
        )
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def spread(rows: pd.DataFrame) -> float:
    """sigma: relative error of a predictor that knows the mean and has no variance, of the rows of one page.

    From the split-half duplicate, whose cells are real: its error is `sigma * sqrt(1 + its variance ratio)`, but for the
    noise of its mean. Source: metrics.md section 3.2.
    """
    same = rows[rows["method"] == CEILING].iloc[0]
    return float(same[ERROR] / np.sqrt(1 + same[RATIO]))


def curve(rows: pd.DataFrame) -> pd.DataFrame:
    """Error of a predictor with the right mean against its variance ratio, per page: columns page, ratio, error."""
    parts = []
    for page, mine in rows.groupby("page", sort=False):
        ratio = np.linspace(0, max(1.5, mine[RATIO].max()), 60)
        parts.append(pd.DataFrame({"page": page, "ratio": ratio, "error": spread(mine) * np.sqrt(1 + ratio)}))
    return pd.concat(parts, ignore_index=True)


def scores_table(rows: pd.DataFrame, page: str) -> HTML:
    """Every predictor of one page, by falling quality of its cells as the energy distance has it."""
    mine = rows[rows["page"] == page].sort_values(DISTANCE, kind="stable")
    filled = [
        {"Predictor": row["predictor"], "Kind": row["role"]}
        | {METRICS[key].title: number(row[key], 3) for key in SHOWN}
        for row in mine.to_dict("records")
    ]
    return HTML(
        table(filled, f"{page}: means over conditions, the smallest energy distance first", ("Kind",))
    )


def answer(rows: pd.DataFrame) -> Markdown:
    """What the headline metric says, and what the spread of the cells says, on doubles."""
    mine = rows[rows["page"] == page_of(PAGES[1]).title].set_index("method")
    if MODEL not in mine.index:
        return Markdown("**The model of this page has no defined score on doubles.**")
    one = mine.loc[MODEL]
    moved = mine.loc[f"{MODEL}_transport"] if f"{MODEL}_transport" in mine.index else None
    said = (
        f"Cells drawn from “{one['predictor']}” have {number(one[RATIO], 2)} of the variance of measured cells, and an error of "
        f"{number(one[ERROR], 3)}."
    )
    if moved is not None:
        side = "rises" if moved[ERROR] > one[ERROR] else "falls"
        far = "nearer to" if moved[DISTANCE] < one[DISTANCE] else "farther from"
        said += (
            f" Give its means the spread of control cells, and the ratio is {number(moved[RATIO], 2)}: the error {side} to "
            f"{number(moved[ERROR], 3)}, while the cells come {far} the measured ones, at an energy distance of "
            f"{number(moved[DISTANCE], 3)} instead of {number(one[DISTANCE], 3)}."
        )
    return Markdown(f"**{said}**")


def wanted(rows: pd.DataFrame) -> HTML:
    """Variance ratio of every form of the model on every page, and whether it lies where a sampler's should."""
    mine = rows[rows["method"].str.startswith(MODEL)]
    low, high = WANTED
    filled = [
        {
            "Page": row["page"],
            "Model": row["predictor"],
            METRICS[RATIO].title: number(row[RATIO], 3),
            f"Within {low} to {high}": "yes" if low <= row[RATIO] <= high else "no",
        }
        for row in mine.to_dict("records")
    ]
    return HTML(table(filled, "Variance of generated cells over that of measured cells", ("Page",)))


def published_table() -> HTML:
    """The published table, labelled as reported, with the variance ratio that its two errors imply."""
    rows = traps_published.table().reset_index()
    filled = [
        {"Predictor": row["predictor"]} | {name: f"{row[name]:.4g}" for name in rows.columns[1:]}
        for row in rows.to_dict("records")
    ]
    return HTML(
        table(
            filled,
            "Reported by others, not computed here: doubles from singles, 5,000 genes (the paper's Table 14); last column: "
            "what follows from the two errors, if they are relative ones",
        )
    )
