"""Zero-shot embeddings judged side by side: what each knows of type, condition and depth, with intervals, whoever wins."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.schema import COUNT_KINDS
from perturbook.evaluation.embedding_intervals import bootstrap_cells, bootstrap_cells_difference
from perturbook.evaluation.embedding_scores import SCORES, embedding_scores
from perturbook.models.backbones import BACKBONES
from perturbook.models.backbones.embed import embed
from perturbook.models.backbones.hvg import HighlyVariableGenes

CHANCE = "chance"
CHANCE_TITLE = "cells shuffled (chance)"
SHUFFLES = 20
"""Times that rows are given to the wrong cells; the interval of chance holds the middle 95 % of them. Our choice."""
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
    """Embed the cells with each backbone; what is fitted is fitted on these very cells, without any label."""
    return [_arm(cells, name, seed, scvi_epochs) for name in names]


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
    return {arm.name: _scores(cells, arm.values) for arm in embedded if arm.values is not None}


def _scores(cells: AnnData, values: np.ndarray) -> pd.DataFrame:
    treated = ~cells.obs["is_control"].to_numpy(bool)
    both = treated if 0 < treated.sum() < len(treated) else None
    depth = np.log(cells.obs["n_counts"].to_numpy(float))
    return embedding_scores(values, cells.obs["context"].to_numpy(str), depth, both)


def chance(cells: AnnData, embedded: list[Arm], seed: int) -> list[tuple]:
    """Rows of `summary` for an embedding that knows nothing: PCA, or the first there is, with its rows given to other cells.

    The interval is that of the shuffles, so that it holds everything that varies by chance, neighbours included.
    """
    there = [arm for arm in embedded if arm.values is not None]
    known = next((arm for arm in there if arm.name == "pca"), there[0]).values
    types, rng = cells.obs["context"].to_numpy(str), np.random.default_rng(seed)
    made = [_scores(cells, known[rng.permutation(len(known))]) for _ in range(SHUFFLES)]
    rows = []
    for score in made[0]:
        means = [
            bootstrap_cells(one[score].to_numpy(), types, balanced=SCORES[score].balanced, n=1).mean
            for one in made
        ]
        low, high = np.percentile(means, [2.5, 97.5])
        rows.append(
            (CHANCE, CHANCE_TITLE, score, np.mean(means), low, high, int(made[0][score].notna().sum()))
        )
    return rows


def summary(cells: AnnData, embedded: list[Arm], scores: dict, resamples: int, seed: int) -> pd.DataFrame:
    """Mean of every score, balanced over types where `SCORES` says so, with its interval: columns name, embedding, score, mean, low, high, cells."""
    types, titles, rows = cells.obs["context"].to_numpy(str), {a.name: a.title for a in embedded}, []
    for name, values in scores.items():
        for score in values:
            options = {"balanced": SCORES[score].balanced, "n": resamples, "seed": seed}
            found = bootstrap_cells(values[score].to_numpy(), types, **options)
            rows.append((name, titles[name], score, found.mean, found.low, found.high, found.n_defined))
    rows += chance(cells, embedded, seed)
    return pd.DataFrame(rows, columns=["name", "embedding", "score", "mean", "low", "high", "cells"])


def differences(cells: AnnData, scores: dict, resamples: int, seed: int, first: str = OWN) -> pd.DataFrame:
    """Score of `first` minus that of every other embedding, paired on the same cells: columns other, score, mean, low, high."""
    types, rows = cells.obs["context"].to_numpy(str), []
    for name, values in scores.items():
        for score in values if name != first else ():
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
