"""What a sweep page says: the same conditions predicted with more and more measurements of the new context."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.evaluation import CEILING, CEILINGS, METRICS, compare, summarise
from perturbook.pages.html_table import table
from perturbook.pages.present import MAIN, cell, headline, interval, number, roles, titled
from perturbook.pages.present_models import verdict
from perturbook.pages.study import Study

CURVES = ("pearson_delta_ctrl", "pearson_delta_centroid", "rmse_mean")


def support(mode: str) -> int:
    """Support size of a mode such as "k=4"."""
    return int(mode.removeprefix("k="))


def curves(study: Study, resamples: int = 10_000) -> pd.DataFrame:
    """Mean score of every predictor at every k: columns k, method, predictor, role, metric, mean, low, high, n_defined, n_total.

    At the highest dose where doses vary. The duplicates, which no k changes, are left out.
    """
    scores, _ = headline(study)
    rows = summarise(scores[scores["metric"].isin(CURVES) & ~scores["method"].isin(CEILINGS)], n=resamples)
    rows = rows[rows["mode"].str.startswith("k=") & (rows["n_defined"] > 0)]
    names = titled(study)
    named = {"predictor": rows["method"].map(names), "role": rows["method"].map(roles(study))}
    return rows.assign(k=rows["mode"].map(support), **named)


def ceiling(study: Study, metric: str) -> float:
    """Mean score of the split-half duplicate, NaN where it is undefined."""
    scores, _ = headline(study)
    return scores.loc[(scores["method"] == CEILING) & (scores["metric"] == metric), "value"].mean()


def _best(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Best floor or opponent of each k, index k, among rows of one metric."""
    down, rows = METRICS[metric].better == "down", rows[rows["role"].isin(("floor", "opponent"))]
    by = rows.groupby("k")["mean"]
    return rows.loc[by.idxmin() if down else by.idxmax()].set_index("k")


def answer(study: Study, resamples: int = 10_000) -> Markdown:
    """The page's answer: what the best simple predictor gains from the smallest to the largest k, and a model beside it."""
    rows = curves(study, resamples)
    rows = rows[rows["metric"] == MAIN]
    best, where = _best(rows, MAIN), headline(study)[1]
    if best.empty:
        return Markdown("**No simple predictor of this page has a defined score.**")
    few, many = best.index.min(), best.index.max()
    said = (
        f"**With {few} supporting measurements the best simple predictor{where} is “{best['predictor'][few]}”, whose predicted "
        f"change correlates with the measured one at {interval(best.loc[few])}; with {many} it is “{best['predictor'][many]}” at "
        f"{interval(best.loc[many])}; one half of the measured cells predicts the other half at {number(ceiling(study, MAIN))}.**"
    )
    return Markdown(" ".join([said, *_models(study, rows, best, resamples)]))


def _models(study: Study, rows: pd.DataFrame, best: pd.DataFrame, resamples: int) -> list[str]:
    """A sentence per model: paired with the best simple predictor of each k; or why it is not shown."""
    scores, said = headline(study)[0], []
    for one in {p.name: p for p in study.bundle.predictions if p.role == "model"}.values():
        mine = rows.loc[rows["method"] == one.name, "k"]
        if mine.empty:
            said.append(f"“{one.title}” is not shown: {one.reason or 'its score is undefined'}.")
            continue
        parts = []
        for k in sorted(set(mine) & set(best.index)):
            asked = scores[(scores["mode"] == f"k={k}") & (scores["metric"] == MAIN)].assign(mode="")
            found = compare(asked, MAIN, one.name, best["method"][k], n=resamples)
            words = verdict(found.rename({"mean": "difference"}), METRICS[MAIN].better)
            parts.append(f"{words} the best simple predictor with {k} ({interval(found)})")
        said.append(f"“{one.title}” {', '.join(parts)}.")
    return said


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
    """Paired difference of each predictor between the largest k and the smallest at which it is defined."""
    scores, where = headline(study)
    most = max({m for m in scores["mode"] if m.startswith("k=")}, key=support)
    rows = []
    for method in [p for p in dict.fromkeys(scores["method"]) if p not in CEILINGS]:
        mine = scores[(scores["method"] == method) & scores["value"].notna()]
        least = min(mine["mode"], key=support, default=most)
        if least == most:
            continue
        row = {"Predictor": titled(study)[method], "From k": support(least)}
        for metric in CURVES:
            pair = mine[(mine["metric"] == metric) & mine["mode"].isin([least, most])]
            known = pair["mode"].nunique() == 2
            pair = pair.assign(method=pair["mode"], mode="")
            row[METRICS[metric].title] = (
                cell(compare(pair, metric, most, least, n=resamples), 3) if known else "undefined"
            )
        rows.append(row)
    return HTML(
        table(
            rows,
            f"Score with {support(most)} supporting measurements minus score with the fewest{where}, paired over conditions",
        )
    )
