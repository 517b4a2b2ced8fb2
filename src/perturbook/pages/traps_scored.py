"""Traps shown with the book's own machinery: small studies, split, predicted and scored as on a setting page."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook import evaluation
from perturbook.errors import DataUnavailable, InputError
from perturbook.evaluation import CEILING, INTERPOLATED, Bundle
from perturbook.evaluation.ceiling import full_duplicate, oracle_projection
from perturbook.evaluation.dynamic_range import own_range
from perturbook.pages.design import Design
from perturbook.pages.html_table import table
from perturbook.pages.predict import predict
from perturbook.pages.present import number
from perturbook.pages.standings import read_scores, title
from perturbook.pages.study import design_of
from perturbook.pages.table import ROOT
from perturbook.pages.table import page as page_of

KEYS = {"pearson_delta_ctrl_shared": "shared", "pearson_delta_ctrl": "split"}
POSITIVES = {CEILING: "half duplicate", INTERPOLATED: "interpolated duplicate"}


def scored(design: Design, metrics: list[str]) -> pd.DataFrame:
    """Split, predict and score without keeping anything; raises DataUnavailable where the cells cannot be had."""
    cells = design.load()
    folds = design.splits(cells)
    facts = {"seed": design.seed, "value_kind": cells.uns["value_kind"]}
    truth = evaluation.build_truth(cells, next(iter(folds.values())), seed=design.seed, facts=facts)
    return evaluation.score(Bundle(truth, predict(design.models, cells, folds, truth), {}), metrics)


def both_keys(page: str, model: str) -> pd.DataFrame:
    """Score one floor of a page of real cells with shared and with split controls, beside the duplicate on the same key.

    Args:
        page: id of a setting page; its data, setting and seed are used, in one mode.
        model: key of the predictor.

    Returns:
        One row per key: data, predictor, controls, score, half_duplicate, full_duplicate and oracle (both projected from
        the mean over conditions), conditions, and source, "live" or "deposit". No row where the cells cannot be had and
        the page has no deposit.

    Source: metrics.md sections 3.4 and 6.2.
    """
    asked = design_of(page_of(page))
    design = Design(**{**vars(asked), "models": [model], "stored": [], "modes": list(asked.modes)[-1:]})
    try:
        scores, source = scored(design, list(KEYS)), "live"
    except DataUnavailable:
        try:
            scores, source = read_scores(ROOT / "results" / page / str(design.seed))[0], "deposit"
        except InputError:
            return pd.DataFrame()
    wanted = scores["mode"].map(lambda mode: not mode or not design.modes or design.modes[0] in mode)
    values = scores[wanted].pivot_table(index="method", columns="metric", values="value", aggfunc="mean")
    rows = [
        {
            "data": design.data,
            "predictor": title(model),
            "controls": word,
            "score": values.loc[model, key],
            "half_duplicate": values.loc[CEILING, key],
            "full_duplicate": float(full_duplicate(values.loc[CEILING, key])),
            "oracle": float(oracle_projection(values.loc[CEILING, key])),
            "conditions": scores["condition"].nunique(),
            "source": source,
        }
        for key, word in KEYS.items()
    ]
    return pd.DataFrame(rows)


def both_keys_table(tables: dict[str, pd.DataFrame]) -> HTML:
    """Floors of real cells on both keys beside their ceilings, from `both_keys` per data set."""
    rows = [
        {
            "Real cells": row["data"],
            "Predictor": row["predictor"],
            "Controls": row["controls"],
            "Score": number(row["score"]),
            "Half duplicate": number(row["half_duplicate"]),
            "Full duplicate, projected": number(row["full_duplicate"]),
            "Oracle, projected": number(row["oracle"]),
        }
        for row in pd.concat(tables.values()).to_dict("records")
    ]
    return HTML(table(rows, "Real cells: Pearson delta with shared and with split controls"))


def both_keys_answer(tables: dict[str, pd.DataFrame]) -> Markdown:
    """The table of `both_keys` in sentences, where its numbers come from, and what is missing."""
    said = []
    for name, one in tables.items():
        if one.empty:
            said.append(f"{name} cannot be had here, and has no deposit.")
            continue
        shared, split = (one.set_index("controls").loc[word] for word in KEYS.values())
        said.append(
            f"On {name} ({shared['conditions']} conditions, real cells) “{shared['predictor']}” scores "
            f"{number(shared['score'])} with shared and {number(split['score'])} with split controls, and the half "
            f"duplicate {number(shared['half_duplicate'])} and {number(split['half_duplicate'])}."
        )
        if shared["source"] == "deposit":
            said.append(
                "These are the scores deposited with the project, because the cells cannot be had here."
            )
    return Markdown(" ".join(said))


def resolution(seed: int, metrics: list[str]) -> pd.DataFrame:
    """How much of its range each metric uses to tell a duplicate from the mean of training, on two simulated screens.

    Args:
        seed: decides splits and halvings.
        metrics: keys of `METRICS`.

    Returns:
        Columns `screen n_cells duplicate metric mean label`, `n_cells` being the median cells of a condition. The screen of
        drugs is scored at its highest dose.

    Source: metrics.md section 6.1.
    """
    tables = []
    for data, setting in (("simulated-drugs", "unseen_drug"), ("simulated-pairs", "additive_split")):
        design = Design(page="", data=data, setting=setting, size="small", models=["mean_train"], seed=seed)
        scores, _ = evaluation.highest_dose(scored(design, metrics))
        for positive, name in POSITIVES.items():
            found = own_range(scores, positive)
            tables.append(found.assign(screen=data, n_cells=scores["n_true"].median(), duplicate=name))
    return pd.concat(tables)[["screen", "n_cells", "duplicate", "metric", "mean", "label"]]


def resolution_table(found: pd.DataFrame) -> HTML:
    """One row per metric, one column per screen and duplicate, from `resolution`; below 0.1 it is said."""
    rows: dict[str, dict[str, str]] = {}
    for row in found.to_dict("records"):
        column = f"{row['screen']}, {row['n_cells']:g} cells: {row['duplicate']}"
        text = f"{number(row['mean'], 2)} {row['label']}".strip()
        rows.setdefault(row["metric"], {"Metric": row["metric"]})[column] = text
    return HTML(table(list(rows.values()), "Simulated cells: dynamic range fraction of two duplicates"))
