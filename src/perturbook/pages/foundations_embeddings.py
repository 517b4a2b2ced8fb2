"""Zero-shot embeddings judged side by side: what each knows of type, condition and depth, with intervals, whoever wins."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from IPython.display import HTML, Markdown

from perturbook.data.schema import COUNT_KINDS
from perturbook.evaluation.embedding_intervals import bootstrap_cells, bootstrap_cells_difference
from perturbook.evaluation.embedding_scores import SCORES, embedding_scores
from perturbook.models.backbones import BACKBONES
from perturbook.models.backbones.embed import embed
from perturbook.models.backbones.hvg import HighlyVariableGenes
from perturbook.pages.html_table import Markup, items, join, table
from perturbook.pages.present import number

CHANCE = "chance"
CHANCE_TITLE = "PCA of other cells (chance)"
SCVI_GENES = 1_000
"""Most variable genes that scVI is fitted on here, so that it fits into seconds. Our choice."""
OWN = "small"
SHORT = {
    "type_knn": "Type",
    "type_knn_across": "Type, across conditions",
    "silhouette": "Silhouette",
    "condition_auroc": "Condition",
    "depth_r2": "Depth",
    "depth_r2_within": "Depth within type",
}


@dataclass(frozen=True)
class Arm:
    """One embedding of the cells of a page, or why there is none."""

    name: str
    title: str
    values: np.ndarray | None
    """`(cells, width)`."""
    reason: str = ""
    """Why it does not apply here."""
    said: str = ""
    """What was embedded, in one line."""


def arms(cells: AnnData, names: list[str], seed: int, scvi_epochs: int) -> list[Arm]:
    """Embed the cells with each backbone; what is fitted is fitted on these very cells, without any label.

    The last arm is the embedding of the first linear one given to the wrong cells: what knowing nothing scores.
    """
    made = [_arm(cells, name, seed, scvi_epochs) for name in names]
    known = next((arm.values for arm in made if arm.name == "pca"), made[0].values)
    shuffled = known[np.random.default_rng(seed).permutation(len(known))]
    return [*made, Arm(CHANCE, CHANCE_TITLE, shuffled)]


def _arm(cells: AnnData, name: str, seed: int, scvi_epochs: int) -> Arm:
    recipe, options, kind = BACKBONES[name], {}, cells.uns["value_kind"]
    if name == "scvi":
        if kind not in COUNT_KINDS:
            return Arm(name, recipe.title, None, f"it needs counts, and this data set keeps {kind} values")
        cells, options = cells[:, HighlyVariableGenes(cells, SCVI_GENES).top].copy(), {"epochs": scvi_epochs}
    made = embed(cells.copy(), name, key=name, seed=seed, **options)
    return Arm(name, recipe.title, made.obsm[name], said=made.uns[name]["said"])


def scored(cells: AnnData, embedded: list[Arm]) -> dict[str, pd.DataFrame]:
    """Per-cell scores of every embedding; see `evaluation.embedding_scores`. Depth is the log of the origin's total counts."""
    types, treated = cells.obs["context"].to_numpy(str), ~cells.obs["is_control"].to_numpy(bool)
    depth = np.log(cells.obs["n_counts"].to_numpy(float))
    both = treated if 0 < treated.sum() < len(treated) else None
    return {
        arm.name: embedding_scores(arm.values, types, depth, both)
        for arm in embedded
        if arm.values is not None
    }


def summary(cells: AnnData, embedded: list[Arm], scores: dict, resamples: int, seed: int) -> pd.DataFrame:
    """Mean of every score, balanced over types where `SCORES` says so, with its interval: columns name, embedding, score, mean, low, high, cells."""
    types, titles, rows = cells.obs["context"].to_numpy(str), {a.name: a.title for a in embedded}, []
    for name, values in scores.items():
        for score in values:
            options = {"balanced": SCORES[score].balanced, "n": resamples, "seed": seed}
            found = bootstrap_cells(values[score].to_numpy(), types, **options)
            rows.append((name, titles[name], score, found.mean, found.low, found.high, found.n_defined))
    return pd.DataFrame(rows, columns=["name", "embedding", "score", "mean", "low", "high", "cells"])


def differences(cells: AnnData, scores: dict, resamples: int, seed: int, first: str = OWN) -> pd.DataFrame:
    """Score of `first` minus that of every other embedding, paired on the same cells: columns other, score, mean, low, high."""
    types, rows = cells.obs["context"].to_numpy(str), []
    for name, values in scores.items():
        for score in values if name not in (first, CHANCE) else ():
            pair = scores[first][score].to_numpy(), values[score].to_numpy()
            options = {"balanced": SCORES[score].balanced, "n": resamples, "seed": seed}
            found = bootstrap_cells_difference(*pair, types, **options)
            rows.append((name, score, found.mean, found.low, found.high))
    return pd.DataFrame(rows, columns=["other", "score", "mean", "low", "high"])


def by_type(cells: AnnData, embedded: list[Arm], scores: dict, score: str = "type_knn") -> pd.DataFrame:
    """Mean of a score per type and embedding: columns embedding, type, value, cells."""
    types, frames = cells.obs["context"].to_numpy(str), []
    for arm in embedded:
        if arm.name in scores:
            own = scores[arm.name][score].groupby(types).agg(["mean", "size"]).reset_index()
            frames.append(own.set_axis(["type", "value", "cells"], axis=1).assign(embedding=arm.title))
    return pd.concat(frames, ignore_index=True)


def score_table(found: pd.DataFrame, embedded: list[Arm], caption: str) -> HTML:
    """Embeddings x scores with intervals; below it the backbones that do not apply."""
    shown = []
    for title, rows in found.groupby("embedding", sort=False):
        cells = {SHORT[row["score"]]: _cell(row) for row in rows.to_dict("records")}
        shown.append({"Embedding": title, **cells})
    absent = [f"{arm.title}: {arm.reason}." for arm in embedded if arm.values is None]
    return HTML(table(shown, caption) + (f"<p>Not applicable here:</p>{items(absent)}" if absent else ""))


def difference_table(found: pd.DataFrame, embedded: list[Arm], caption: str) -> HTML:
    """What `differences` found, one row per other embedding."""
    titles, shown = {arm.name: arm.title for arm in embedded}, []
    for other, rows in found.groupby("other", sort=False):
        cells = {SHORT[row["score"]]: _cell(row) for row in rows.to_dict("records")}
        shown.append({f"{titles[OWN]} minus": titles[other], **cells})
    return HTML(table(shown, caption))


def _cell(row: dict) -> Markup:
    if pd.isna(row["mean"]):
        return Markup("undefined")
    bounds = "" if pd.isna(row["low"]) else f"[{number(row['low'], 2)}, {number(row['high'], 2)}]"
    return join(number(row["mean"], 2), Markup("<br><small>"), bounds, Markup("</small>"))


def winner(found: pd.DataFrame, differing: pd.DataFrame, where: str, score: str = "type_knn") -> Markdown:
    """One sentence: which embedding is best by `score`, and how the small checkpoint compares with it and with random weights."""
    rows = found[(found["score"] == score) & (found["name"] != CHANCE)].set_index("name")
    best, own = rows["mean"].idxmax(), rows.loc[OWN]
    title = SCORES[score].title.lower()
    text = f"**{where}, “{rows.loc[best, 'embedding']}” is best by {title}: {_said(rows.loc[best])}"
    if best != OWN:
        text += f"; “{own['embedding']}” has {_said(own)}"
    against = differing[differing["score"] == score].set_index("other")
    others = [name for name in dict.fromkeys((best, "random")) if name != OWN and name in against.index]
    for name in others:
        text += (
            f"; its paired difference from “{rows.loc[name, 'embedding']}” is {_verdict(against.loc[name])}"
        )
    return Markdown(text + ".**")


def _said(row: pd.Series) -> str:
    return f"{number(row['mean'])} [{number(row['low'])}, {number(row['high'])}]"


def _verdict(row: pd.Series) -> str:
    clear = "an interval without zero" if row["low"] > 0 or row["high"] < 0 else "an interval that holds zero"
    return f"{_said(row)}, {clear}"


def make_up(cells: AnnData) -> HTML:
    """Cells per type and condition."""
    counts = pd.crosstab(cells.obs["context"].astype(str), cells.obs["perturbation"].astype(str))
    rows = [{"Type": name, **row} for name, row in counts.to_dict("index").items()]
    return HTML(table(rows, f"{cells.n_obs:,} cells scored here"))
