"""What a sweep page says: the same conditions predicted with more and more measurements of the new context."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.evaluation import CEILING, CEILINGS, METRICS, compare, summarise
from perturbook.pages.html_table import table
from perturbook.pages.present import MAIN, cell, headline, interval, number, titled
from perturbook.pages.study import Study

CURVES = ("pearson_delta_ctrl", "pearson_delta_centroid", "rmse_mean")


def support(mode: str) -> int:
    """Support size of a mode such as "k=4"."""
    return int(mode.removeprefix("k="))


def curves(study: Study, resamples: int = 10_000) -> pd.DataFrame:
    """Mean score of every predictor at every k: columns k, method, predictor, metric, mean, low, high, n_defined, n_total.

    At the highest dose where doses vary. The duplicates, which no k changes, are left out.
    """
    scores, _ = headline(study)
    rows = summarise(scores[scores["metric"].isin(CURVES) & ~scores["method"].isin(CEILINGS)], n=resamples)
    rows = rows[rows["mode"].str.startswith("k=") & (rows["n_defined"] > 0)]
    names = titled(study)
    return rows.assign(k=rows["mode"].map(support), predictor=rows["method"].map(names))


def ceiling(study: Study, metric: str) -> float:
    """Mean score of the split-half duplicate, NaN where it is undefined."""
    scores, _ = headline(study)
    return scores.loc[(scores["method"] == CEILING) & (scores["metric"] == metric), "value"].mean()


def _best(rows: pd.DataFrame, metric: str) -> pd.Series:
    """Best predictor of each k among rows of one metric."""
    down = METRICS[metric].better == "down"
    by = rows.groupby("k")["mean"]
    return rows.loc[by.idxmin() if down else by.idxmax()].set_index("k")


def answer(study: Study, resamples: int = 10_000) -> Markdown:
    """The page's answer in a sentence: what the best simple predictor gains from the smallest to the largest k."""
    rows = curves(study, resamples)
    rows = rows[rows["metric"] == MAIN]
    if rows.empty:
        return Markdown("**No simple predictor of this page has a defined score.**")
    best, where = _best(rows, MAIN), headline(study)[1]
    few, many = best.index.min(), best.index.max()
    return Markdown(
        f"**With {few} supporting measurements the best simple predictor{where} is “{best['predictor'][few]}”, whose predicted "
        f"change correlates with the measured one at {interval(best.loc[few])}; with {many} it is “{best['predictor'][many]}” at "
        f"{interval(best.loc[many])}; one half of the measured cells predicts the other half at {number(ceiling(study, MAIN))}.**"
    )


def curve_table(study: Study, resamples: int = 10_000) -> HTML:
    """Predictors x k on the main metric, and the duplicate below."""
    rows = curves(study, resamples)
    rows = rows[rows["metric"] == MAIN]
    sizes = sorted(rows["k"].unique())
    filled = []
    for predictor, mine in rows.groupby("predictor", sort=False):
        by = mine.set_index("k")
        filled.append(
            {"Predictor": predictor}
            | {f"k = {k}": cell(by.loc[k], 2) if k in by.index else "undefined" for k in sizes}
        )
    same = number(ceiling(study, MAIN), 2)
    filled.append({"Predictor": titled(study)[CEILING]} | {f"k = {k}": same for k in sizes})
    return HTML(table(filled, f"“{METRICS[MAIN].title}”, mean over the same conditions{headline(study)[1]}"))


def gain_table(study: Study, resamples: int = 10_000) -> HTML:
    """Paired difference of each predictor between its largest and its smallest k, over the same conditions."""
    scores, where = headline(study)
    modes = sorted({m for m in scores["mode"] if m.startswith("k=")}, key=support)
    rows = []
    for method in dict.fromkeys(scores["method"]):
        mine = scores[(scores["method"] == method) & scores["mode"].isin([modes[0], modes[-1]])]
        row = {"Predictor": titled(study)[method]}
        for metric in CURVES:
            pair = mine[mine["metric"] == metric]
            if pair["mode"].nunique() < 2 or pair.groupby("mode")["value"].count().min() == 0:
                continue
            pair = pair.assign(method=pair["mode"], mode="")
            row[METRICS[metric].title] = cell(compare(pair, metric, modes[-1], modes[0], n=resamples), 3)
        if len(row) > 1:
            rows.append(row)
    columns = ["Predictor", *(METRICS[metric].title for metric in CURVES)]
    filled = [{column: row.get(column, "undefined") for column in columns} for row in rows]
    return HTML(
        table(
            filled,
            f"Score with {support(modes[-1])} minus score with {support(modes[0])} supporting measurements{where}, paired over conditions",
        )
    )
