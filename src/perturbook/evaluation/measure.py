"""From split cells to a `Truth`: condition by condition, whatever the order of the rows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.schema import condition_keys, expression
from perturbook.errors import ConfigError, InputError
from perturbook.evaluation.basis import principal_axes
from perturbook.evaluation.differential import top_genes, welch_p, welch_t
from perturbook.evaluation.ranksum import Ranked, benjamini_hochberg
from perturbook.evaluation.rounding import rounded
from perturbook.evaluation.summary import condition_summary, control_summary
from perturbook.evaluation.training_side import centroid_and_genes, other_moments
from perturbook.evaluation.truth import N_DEG, Truth, target_positions
from perturbook.splits import Split


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


class Cells:
    """The values of named cells of a data set, dense, one part at a time."""

    def __init__(self, adata: AnnData):
        self.values, self.names = expression(adata), pd.Index(adata.obs_names.astype(str))

    def __call__(self, names: np.ndarray) -> np.ndarray:
        """Values `(cells, genes)`, float64, in the order of `names`."""
        block = self.values[self.names.get_indexer(names)]
        return np.asarray(block.toarray() if hasattr(block, "toarray") else block, dtype=float)


def measure(adata: AnnData, folds: Sequence[Split], *, seed: int, facts: dict) -> Truth:
    """The truth in full precision; arguments and errors as in `build_truth`."""
    read, genes = Cells(adata), adata.var_names.to_numpy(str)
    obs, tested = _tested(adata, folds)
    controls = controls_of(adata, folds, obs)
    pools = [names for names, _ in controls.values()]
    basis = principal_axes(read, tested, obs.index, pools, seed)
    made, control = _summaries(read, obs, tested, controls, basis, seed)
    k = min(N_DEG + target_positions(genes, obs["perturbation"], obs["kind"]).shape[1], len(genes))
    seen = [centroid_and_genes(adata, split, k) for split in folds]
    at = np.searchsorted(list(controls), obs["context"].to_numpy(str))
    n = obs["n_cells"].to_numpy()
    base = {name: values[at] for name, values in control.items() if name != "halves"}
    half = made["mean_a"], made["variance_a"], n // 2, base["mean_a"], base["variance_a"], base["n_a"]
    whole = made["mean"], made["variance"], n, base["mean"], base["variance"], base["n"]
    lists = {"split_half": top_genes(welch_t(*half), k), "test_truth": top_genes(welch_t(*whole), k)}
    lists["train_visible"] = np.concatenate([genes for _, genes in seen])
    return Truth(
        obs=obs,
        genes=genes,
        mean=made["mean"],
        variance=made["variance"],
        halves=made["halves"],
        q=benjamini_hochberg(welch_p(*half)),
        significant={name: made[f"significant_{name}"] for name in ("all", "a", "b")},
        deg={source: positions.astype(np.int32) for source, positions in lists.items()},
        coordinates=made["coordinates"],
        pca_mean=basis[0],
        loadings=basis[1],
        controls={name: values for name, values in control.items() if name != "variance_a"},
        others=other_moments(adata, obs, list(controls)),
        contexts=np.array(list(controls), dtype=str),
        centroid=np.stack([centroid for centroid, _ in seen]),
        facts=facts,
    )


def _tested(adata: AnnData, folds: Sequence[Split]) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Labels of the tested conditions, as in `Truth.obs`, and the sorted names of each one's cells."""
    rows, cells = [], []
    kinds = adata.obs["kind"].astype(str) if "kind" in adata.obs else pd.Series("", adata.obs.index)
    for fold, split in enumerate(folds):
        keys = condition_keys(adata.obs.loc[split.test, ["context", "perturbation", "dose_um"]])
        for key, row in split.conditions.iterrows():
            mine = np.sort(split.test[keys == key])
            about = {"fold": fold, "n_cells": len(mine), "kind": kinds[mine[0]] if len(mine) else ""}
            cells.append(mine)
            rows.append({"condition": key, **row, **about})
    obs = pd.DataFrame(rows).set_index("condition")
    texts = [name for name in ("context", "perturbation", "kind", "stratum") if name in obs]
    obs = obs.astype(dict.fromkeys(texts, str))
    if twice := sorted(set(obs.index[obs.index.duplicated()])):
        raise ConfigError(
            f"{len(twice)} conditions are tested in two folds, such as {twice[0]}; hold each out once."
        )
    return obs, cells


def controls_of(
    adata: AnnData, folds: Sequence[Split], obs: pd.DataFrame
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Sorted names of each tested context's control cells, and which of them are shown where the controls are split.

    Raises:
        InputError: a tested context has a single control cell.
    """
    query = np.unique(np.concatenate([split.query for split in folds]))
    kept = np.unique(np.concatenate([split.reference for split in folds]))
    of_context = adata.obs.loc[query, "context"].astype(str).to_numpy()
    found = {}
    for context in sorted(obs["context"].astype(str).unique()):
        mine = query[of_context == context]
        if len(mine) < 2:
            raise InputError(
                f"{context} has {len(mine)} control cell; two are needed, one to show to models and one to keep for the truth."
            )
        found[context] = (mine, ~np.isin(mine, kept))
    return found


def _summaries(
    read: Cells,
    obs: pd.DataFrame,
    tested: Sequence[np.ndarray],
    controls: dict[str, tuple[np.ndarray, np.ndarray]],
    basis: tuple[np.ndarray, np.ndarray],
    seed: int,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Arrays over conditions and over contexts; the controls of one context at a time are in memory."""
    mean, loadings = basis
    made: list[dict] = [{} for _ in tested]
    control = []
    for context, (names, shown) in controls.items():
        pool = read(names)
        control.append(control_summary(pool, shown, seed, context))
        ranked = Ranked.of(pool)
        for i in np.flatnonzero((obs["context"] == context).to_numpy()):
            made[i] = condition_summary(read(tested[i]), ranked, seed, obs.index[i])
            made[i]["coordinates"] = (made[i].pop("sample") - mean) @ loadings
    most = max(len(one["coordinates"]) for one in made)
    for one in made:
        missing = most - len(one["coordinates"])
        one["coordinates"] = np.pad(one["coordinates"], ((0, missing), (0, 0)), constant_values=np.nan)
    return _stack(made), _stack(control)


def _stack(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
