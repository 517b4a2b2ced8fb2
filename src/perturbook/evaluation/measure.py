"""From split cells to a `Truth`: condition by condition, whatever the order of the rows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data import pseudobulk
from perturbook.data.schema import condition_keys, expression
from perturbook.errors import ConfigError, InputError
from perturbook.evaluation.differential import top_genes, welch_t
from perturbook.evaluation.truth import MAX_CELLS, N_DEG, N_HALVES, Truth, rng_of, rounded, stored
from perturbook.splits import Split

N_COMPONENTS, MAX_PCA_CELLS = 50, 2_000


def build_truth(adata: AnnData, folds: Sequence[Split], *, seed: int, facts: dict) -> Truth:
    """Summarise the test cells and controls of all folds of a page, at the resolution that a bundle stores.

    Args:
        adata: canonical AnnData that was split, `(cells, genes)`.
        folds: splits whose conditions do not overlap; each has passed the audit.
        seed: decides halvings and subsamples.
        facts: written into the bundle as they are.

    Raises:
        ConfigError: two folds test one condition. InputError: a tested context has a single control cell.

    Source: halves and gene lists from metrics.md sections 3.6 and 6.2; the choice of arrays is ours.
    """
    return rounded(measure(adata, folds, seed=seed, facts=facts))


def measure(adata: AnnData, folds: Sequence[Split], *, seed: int, facts: dict) -> Truth:
    """The truth in full precision; arguments and errors as in `build_truth`."""
    values, names = expression(adata), pd.Index(adata.obs_names.astype(str))

    def dense(cells: np.ndarray) -> np.ndarray:
        block = values[names.get_indexer(cells)]
        return np.asarray(block.toarray() if hasattr(block, "toarray") else block, dtype=float)

    obs, tested = _tested(adata, folds)
    pools = {
        context: (dense(cells), shown) for context, (cells, shown) in _controls(adata, folds, obs).items()
    }
    made = []
    for (key, context), cells in zip(obs["context"].items(), tested, strict=True):
        made.append(_condition(dense(cells), *pools[context], seed, key))
    samples = [one.pop("sample") for one in made]
    pca_mean, loadings = _basis(samples, [cells for cells, _ in pools.values()], seed)
    coordinates = np.full((len(obs), max(map(len, samples)), loadings.shape[1]), np.nan)
    for i, cells in enumerate(samples):
        coordinates[i, : len(cells)] = (cells - pca_mean) @ loadings
    out = _stack(made)
    return Truth(
        obs=obs,
        genes=adata.var_names.to_numpy(str),
        mean=out["mean"],
        variance=out["variance"],
        halves=out["halves"],
        deg={source: out[source].astype(np.int32) for source in ("split_half", "test_truth")},
        coordinates=coordinates,
        pca_mean=pca_mean,
        loadings=loadings,
        controls=_stack([_control(*pools[context], seed, context) for context in pools]),
        contexts=np.array(list(pools), dtype=str),
        centroid=np.stack([_centroid(adata, split) for split in folds]),
        facts=facts,
    )


def _tested(adata: AnnData, folds: Sequence[Split]) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Labels of the tested conditions, as in `Truth.obs`, and the sorted names of each one's cells."""
    rows, cells = [], []
    for fold, split in enumerate(folds):
        keys = condition_keys(adata.obs.loc[split.test, ["context", "perturbation", "dose_um"]])
        for key, row in split.conditions.iterrows():
            cells.append(np.sort(split.test[keys == key]))
            rows.append({"condition": key, **row, "fold": fold, "n_cells": len(cells[-1])})
    obs = pd.DataFrame(rows).set_index("condition").astype({"context": str, "perturbation": str})
    if twice := sorted(set(obs.index[obs.index.duplicated()])):
        raise ConfigError(
            f"{len(twice)} conditions are tested in two folds, such as {twice[0]}; hold each out once."
        )
    return obs, cells


def _controls(adata: AnnData, folds: Sequence[Split], obs: pd.DataFrame) -> dict[str, tuple]:
    """Sorted names of each tested context's control cells, and which of them are shown to models."""
    query = np.unique(np.concatenate([split.query for split in folds]))
    kept = np.unique(np.concatenate([split.reference for split in folds]))
    of_context = adata.obs.loc[query, "context"].astype(str).to_numpy()
    found = {}
    for context in sorted(obs["context"].unique()):
        mine = query[of_context == context]
        if len(mine) < 2:
            raise InputError(
                f"{context} has {len(mine)} control cell; two are needed, one to show to models and one to keep for the truth."
            )
        found[context] = (mine, ~np.isin(mine, kept))
    return found


def _control(cells: np.ndarray, shown: np.ndarray, seed: int, context: str) -> dict[str, np.ndarray]:
    """One context of `Truth.controls`; halving 0 is the one into shown and kept."""
    halves, _ = _half_means(cells, rng_of(seed, f"control {context}"), np.flatnonzero(shown))
    return {
        "mean": cells.mean(axis=0),
        "mean_a": cells[shown].mean(axis=0),
        "mean_b": cells[~shown].mean(axis=0),
        "variance": cells.var(axis=0, ddof=1),
        "halves": halves,
        "n": len(cells),
        "n_a": int(shown.sum()),
    }


def _condition(cells: np.ndarray, pool: np.ndarray, shown: np.ndarray, seed: int, key: str) -> dict:
    """Summaries of one tested condition, and the `sample` of its cells that the PCA describes."""
    n = len(cells)
    halves, first = _half_means(cells, rng_of(seed, key))
    return {
        "mean": cells.mean(axis=0),
        "variance": cells.var(axis=0, ddof=1) if n > 1 else np.full(cells.shape[1], np.nan),
        "halves": halves,
        "split_half": _deg(cells[first], pool[shown]),
        "test_truth": _deg(cells, pool),
        "sample": cells[np.sort(rng_of(seed, f"cells {key}").permutation(n)[:MAX_CELLS])],
    }


def _half_means(
    cells: np.ndarray, rng: np.random.Generator, first: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Half-A means minus the mean, `(20, genes)`, and the rows of the first half; `first` fixes halving number 0."""
    n, mean = len(cells), cells.mean(axis=0)
    picks = [rng.permutation(n)[: n // 2] for _ in range(N_HALVES)]
    picks[0] = picks[0] if first is None else first
    if n < 2:
        return np.full((N_HALVES, cells.shape[1]), np.nan), picks[0]
    return np.stack([cells[pick].mean(axis=0) - mean for pick in picks]), picks[0]


def _deg(cells: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Top genes of one condition by |Welch t| against `base`; -1 where either side has fewer than two cells."""
    k = min(N_DEG, cells.shape[1])
    if len(cells) < 2 or len(base) < 2:
        return np.full(k, -1)
    moments = [cells.mean(axis=0)[None], cells.var(axis=0, ddof=1)[None], np.array([len(cells)])]
    against = [base.mean(axis=0), base.var(axis=0, ddof=1), np.array([len(base)])]
    return top_genes(welch_t(*moments, *against), k)[0]


def _basis(treated: list[np.ndarray], controls: list[np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and loadings of a PCA of up to 2,000 measured cells, treated and control, `(genes,)` and `(genes, 50)`.

    Rounded before use, so that measured and predicted profiles meet in one and the same space.
    """
    from sklearn.decomposition import PCA

    cells = np.concatenate([*treated, *controls])
    pick = np.sort(np.random.default_rng([seed, 2]).permutation(len(cells))[:MAX_PCA_CELLS])
    pca = PCA(min(N_COMPONENTS, len(pick) - 1, cells.shape[1]), svd_solver="randomized", random_state=seed)
    pca.fit(cells[pick])
    return stored(pca.mean_), pca.components_.T.astype(np.float16)


def _centroid(adata: AnnData, split: Split) -> np.ndarray:
    """Mean of the training perturbation centroids, each weighing the same, `(genes,)`."""
    profiles = pseudobulk(adata[split.visible])
    return profiles.mean[~profiles.obs["is_control"].to_numpy(bool)].mean(axis=0)


def _stack(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
