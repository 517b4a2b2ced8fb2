"""What the cells a model may see, and the cells nobody asks about, say of a page: references and gene lists."""

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data import Profiles, pseudobulk
from perturbook.data.gene_labels import genes_of
from perturbook.data.schema import condition_keys
from perturbook.evaluation.differential import top_genes, welch_t
from perturbook.evaluation.weighted import pooled
from perturbook.splits import Split


def centroid_and_genes(adata: AnnData, split: Split, k: int) -> tuple[np.ndarray, np.ndarray]:
    """What the training-visible cells of one split say: their centroid, and the genes to expect per condition.

    Args:
        adata: canonical AnnData that was split.
        split: says what is visible and what is asked.
        k: genes per list.

    Returns:
        Mean of the training perturbation centroids, each weighing the same, `(genes,)`; and gene positions by |Welch t|
        of the related conditions, strongest first, `(conditions, k)`, -1 where there is none.

    Source: metrics.md sections 3.5 and 3.6.
    """
    profiles = pseudobulk(adata[split.visible])
    treated = ~profiles.obs["is_control"].to_numpy(bool)
    related = [related_rows(profiles.obs, label) for label in split.conditions["perturbation"].astype(str)]
    rows = np.unique(np.concatenate(related)).astype(int)
    t = np.full((len(profiles.mean), len(profiles.genes)), np.nan)
    t[rows] = _t_against_controls(profiles, rows)
    lists = [_union(t[rows], k) for rows in related]
    return profiles.mean[treated].mean(axis=0), np.array(lists).reshape(len(lists), k)


def related_rows(obs: pd.DataFrame, perturbation: str) -> np.ndarray:
    """Positions of the conditions of `obs` that tell which genes a perturbation moves.

    For a pair of genes its two singles, as far as they are there; for anything else the same perturbation, at other
    doses or in other contexts.

    Source: metrics.md section 3.6 (`train_visible`).
    """
    labels = np.where(obs["is_control"].to_numpy(bool), "", obs["perturbation"].to_numpy(str))
    parts = genes_of(perturbation)
    singles = np.isin(labels, parts) if len(parts) > 1 else np.zeros(len(obs), bool)
    return np.flatnonzero(singles if singles.any() else labels == perturbation)


def other_moments(adata: AnnData, obs: pd.DataFrame, contexts: list[str]) -> dict[str, np.ndarray]:
    """Count, mean and unbiased variance of the treated cells whose condition is not tested, per context.

    Returns:
        n `(contexts,)`, mean and variance `(contexts, genes)`; n is 0, the others NaN, where there are none.

    Source: metrics.md section 3.7.
    """
    labels = adata.obs[["context", "perturbation", "dose_um"]]
    keep = labels["context"].astype(str).isin(contexts).to_numpy()
    keep &= ~adata.obs["is_control"].to_numpy(bool)
    keep[keep] = ~np.isin(condition_keys(labels[keep]).astype(str), obs.index.to_numpy(str))
    n, blank = np.zeros(len(contexts), int), np.full((len(contexts), adata.n_vars), np.nan)
    found = {"n": n, "mean": blank, "variance": blank.copy()}
    if keep.any():
        profiles = pseudobulk(adata[keep])
        of = profiles.obs["context"].astype(str).to_numpy()
        for i, context in enumerate(contexts):
            if (mine := of == context).any():
                moments = (
                    profiles.obs["n_cells"].to_numpy()[mine],
                    profiles.mean[mine],
                    profiles.variance[mine],
                )
                n[i], found["mean"][i], found["variance"][i] = pooled(*moments)
    return found


def _t_against_controls(profiles: Profiles, rows: np.ndarray) -> np.ndarray:
    """|Welch t| of some conditions against the visible controls of their context; NaN where there are none."""
    obs = profiles.obs
    control = np.flatnonzero(obs["is_control"].to_numpy(bool))
    at = dict(zip(obs["context"].iloc[control], control, strict=True))
    base = obs["context"].iloc[rows].map(at)
    t = np.full((len(rows), len(profiles.genes)), np.nan)
    some = base.notna().to_numpy()
    one, other = rows[some], base[some].to_numpy(int)
    sides = [(profiles.mean[i], profiles.variance[i], obs["n_cells"].to_numpy()[i]) for i in (one, other)]
    t[some] = welch_t(*sides[0], *sides[1])
    return t


def _union(t: np.ndarray, k: int) -> np.ndarray:
    """Top `k` genes by the largest of several |t| `(conditions, genes)`; those of undefined conditions do not count."""
    t = t[~np.isnan(t).any(axis=1)]
    return top_genes(t.max(axis=0, keepdims=True), k)[0] if len(t) else np.full(k, -1)
