"""`Truth`: everything about the measured cells that scores need, once per page and seed, without any cell in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data import pseudobulk
from perturbook.data.schema import condition_keys, expression
from perturbook.evaluation.differential import top_genes, welch_t
from perturbook.splits import Split

N_HALVES, N_COMPONENTS, MAX_CELLS, MAX_PCA_CELLS, N_DEG = 20, 50, 200, 2_000, 50
MEAN_STEP, VARIANCE_STEP = 2.0**-12, 2.0**-8
"""Stored means and variances are multiples of these (log1p units), far below their sampling error; our choice."""


def stored(values: np.ndarray, step: float = MEAN_STEP) -> np.ndarray:
    """Round to the resolution of a bundle, float32, so that a deposit stays small and two readings agree."""
    return (np.round(np.asarray(values, dtype=float) / step) * step).astype(np.float32)


@dataclass(frozen=True)
class Truth:
    """Measured profiles of the conditions a page asks about. Means are log1p of counts per 10k unless `scale` differs."""

    obs: pd.DataFrame
    """Index condition key; context, perturbation, dose_um, fold, n_cells."""
    genes: np.ndarray
    """Panel `(genes,)`."""
    mean: np.ndarray
    """`(conditions, genes)`."""
    variance: np.ndarray
    """Unbiased, `(conditions, genes)`; NaN for one cell."""
    halves: np.ndarray
    """Mean of half A minus `mean`, of 20 random halvings, `(conditions, 20, genes)`; half A has n // 2 cells."""
    deg: dict[str, np.ndarray]
    """Gene positions by |Welch t|, strongest first, `(conditions, <= 50)`, for "split_half" and "test_truth"."""
    coordinates: np.ndarray
    """PCA coordinates of up to 200 cells, `(conditions, cells, components)`, NaN where there are fewer."""
    pca_mean: np.ndarray
    """`(genes,)`."""
    loadings: np.ndarray
    """`(genes, components)`; fitted on the truth alone, the same for all methods."""
    controls: dict[str, np.ndarray]
    """Per tested context: mean, mean_a (shown to models), mean_b (kept for the truth), halves, n, n_a, variance."""
    contexts: np.ndarray
    """Contexts in the order of `controls`."""
    centroid: np.ndarray
    """Mean of the training perturbation centroids per fold, `(folds, genes)`."""
    facts: dict = field(default_factory=dict)
    """page, data set, setting, seed, scale, value_kind, panel_hash, synthetic."""

    @property
    def n_components(self) -> int:
        """Number of principal components."""
        return self.loadings.shape[1]

    def project(self, cells: np.ndarray) -> np.ndarray:
        """Coordinates of profiles `(cells, genes)` in the PCA of the truth, `(cells, components)`."""
        return (np.asarray(cells, dtype=float) - self.pca_mean) @ self.loadings


def _rng(seed: int, label: str) -> np.random.Generator:
    """A generator of its own per condition, so that other conditions and row order do not matter."""
    return np.random.default_rng([seed, crc32(label.encode())])


def _half_means(
    values: np.ndarray, rng: np.random.Generator, first: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Half-A means minus the mean, `(20, genes)`, and the rows of the first half; `first` fixes halving number 0."""
    n, mean = len(values), values.mean(axis=0)
    picks = [rng.permutation(n)[: n // 2] for _ in range(N_HALVES)]
    picks[0] = picks[0] if first is None else first
    empty = np.full(values.shape[1], np.nan)
    return np.stack([values[p].mean(axis=0) - mean if len(p) else empty for p in picks]), picks[0]


def build_truth(adata: AnnData, folds: Sequence[Split], *, seed: int, facts: dict) -> Truth:
    """Summarise the test cells and controls of all folds of a page.

    Args:
        adata: canonical AnnData that was split, `(cells, genes)`.
        folds: splits whose conditions do not overlap; each has passed the audit.
        seed: decides halvings and subsamples.
        facts: written into the bundle as they are.

    Returns:
        A `Truth` at the resolution that a bundle stores.

    Source: issue of the bundle format is our choice; halves and DE sources from metrics.md sections 3.6 and 6.2.
    """
    values, names = expression(adata), pd.Index(adata.obs_names.astype(str))

    def dense(cells: np.ndarray) -> np.ndarray:
        block = values[names.get_indexer(np.sort(cells))]
        return np.asarray(block.toarray() if hasattr(block, "toarray") else block, dtype=float)

    contexts = sorted({str(c) for split in folds for c in split.conditions["context"]})
    query = np.unique(np.concatenate([split.query for split in folds]))
    keep = np.unique(np.concatenate([split.reference for split in folds]))
    of_context = adata.obs["context"].astype(str)
    controls, control_cells = (
        {"mean": [], "variance": [], "halves": [], "n": [], "n_a": [], "mean_a": [], "mean_b": []},
        {},
    )
    for context in contexts:
        mine = np.sort(query[(of_context.loc[query] == context).to_numpy()])
        cells, shown = dense(mine), np.flatnonzero(~np.isin(mine, keep))
        halves, _ = _half_means(cells, _rng(seed, f"control {context}"), first=shown)
        control_cells[context] = (cells, shown)
        hidden = np.setdiff1d(np.arange(len(mine)), shown)
        summary = {
            "mean": cells.mean(axis=0),
            "variance": cells.var(axis=0, ddof=1),
            "halves": halves,
            "n": len(mine),
        }
        summary |= {
            "n_a": len(shown),
            "mean_a": cells[shown].mean(axis=0),
            "mean_b": cells[hidden].mean(axis=0),
        }
        for name, value in summary.items():
            controls[name].append(value)

    rows, out = [], {"mean": [], "variance": [], "halves": [], "split_half": [], "test_truth": []}
    samples, chosen = [], []
    obs_key = {}
    for fold, split in enumerate(folds):
        screen = adata.obs.loc[split.test, ["context", "perturbation", "dose_um"]]
        keys = condition_keys(screen)
        for key, row in split.conditions.iterrows():
            if key in obs_key:
                raise ValueError(f"Condition {key!r} is tested in two folds.")
            obs_key[key] = fold
            cells = dense(split.test[keys == key])
            n, context = len(cells), str(row["context"])
            halves, half = _half_means(cells, _rng(seed, key))
            mean, variance = (
                cells.mean(axis=0),
                cells.var(axis=0, ddof=1) if n > 1 else np.full(cells.shape[1], np.nan),
            )
            pool, shown = control_cells[context]
            for source, part, base in (("split_half", cells[half], pool[shown]), ("test_truth", cells, pool)):
                out[source].append(_deg(part, base))
            pick = np.sort(_rng(seed, f"cells {key}").permutation(n)[:MAX_CELLS])
            samples.append(cells[pick])
            chosen.append(n)
            for name, value in (("mean", mean), ("variance", variance), ("halves", halves)):
                out[name].append(value)
            rows.append({"condition": key, **row, "fold": fold, "n_cells": n})

    pca_mean, loadings = _basis(samples, [cells for cells, _ in control_cells.values()], seed)
    coordinates = np.full((len(rows), max(map(len, samples)), loadings.shape[1]), np.nan, np.float16)
    for i, cells in enumerate(samples):
        coordinates[i, : len(cells)] = (cells - pca_mean) @ loadings
    centroids = []
    for split in folds:
        profiles = pseudobulk(adata[split.visible])
        centroids.append(profiles.mean[~profiles.obs["is_control"].to_numpy(bool)].mean(axis=0))
    arrays = {name: np.stack(value) for name, value in controls.items()}
    for name in ("mean", "mean_a", "mean_b"):
        arrays[name] = stored(arrays[name])
    arrays["variance"] = stored(arrays["variance"], VARIANCE_STEP)
    arrays["halves"] = _coarse(arrays["halves"])
    return Truth(
        obs=pd.DataFrame(rows).set_index("condition"),
        genes=adata.var_names.to_numpy(str),
        mean=stored(np.stack(out["mean"])),
        variance=stored(np.stack(out["variance"]), VARIANCE_STEP),
        halves=_coarse(np.stack(out["halves"])),
        deg={source: np.stack(out[source]).astype(np.int32) for source in ("split_half", "test_truth")},
        coordinates=coordinates,
        pca_mean=stored(pca_mean),
        loadings=loadings.astype(np.float16),
        controls=arrays,
        contexts=np.array(contexts, dtype=str),
        centroid=stored(np.stack(centroids)),
        facts=facts,
    )


def _deg(cells: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Top genes of one condition by |Welch t| against `base`; -1 where either side has fewer than two cells."""
    k = min(N_DEG, cells.shape[1])
    if len(cells) < 2 or len(base) < 2:
        return np.full(k, -1)
    moments = [cells.mean(axis=0)[None], cells.var(axis=0, ddof=1)[None], np.array([len(cells)])]
    against = [base.mean(axis=0), base.var(axis=0, ddof=1), np.array([len(base)])]
    return top_genes(welch_t(*moments, *against), k)[0]


def _basis(treated: list[np.ndarray], controls: list[np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and loadings of a PCA of up to 2,000 measured cells, treated and control, `(genes,)` and `(genes, 50)`."""
    from sklearn.decomposition import PCA

    cells = np.concatenate([*treated, *controls])
    pick = np.sort(np.random.default_rng([seed, 2]).permutation(len(cells))[:MAX_PCA_CELLS])
    pca = PCA(min(N_COMPONENTS, len(pick) - 1, cells.shape[1]), svd_solver="randomized", random_state=seed)
    pca.fit(cells[pick])
    return pca.mean_, pca.components_.T


def _coarse(halves: np.ndarray) -> np.ndarray:
    """Round half-means to a power of two near a third of their typical error; adds about a percent of its variance."""
    spread = np.sqrt(np.nanmean(halves**2)) or 1.0
    return stored(halves, 2.0 ** np.round(np.log2(spread / 3)))
