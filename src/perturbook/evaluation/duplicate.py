"""The split-half duplicate: what one half of the measured cells says of the other, by the metric itself."""

from dataclasses import replace

import numpy as np

from perturbook.evaluation.bundle import Predicted
from perturbook.evaluation.metric import METRICS, View, other_half, view
from perturbook.evaluation.truth import N_HALVES, Truth, rng_of


def half_view(truth: Truth, split: int) -> View:
    """Half A of treated cells and controls as the prediction, half B of both as the truth.

    Variances of halves are not stored: the unbiased variance of all cells stands for both, so that `var_ratio` is 1.

    Args:
        truth: the truth of a bundle.
        split: which of the 20 halvings. Gene lists always come from half A of halving 0.

    Source: metrics.md section 6.2.
    """
    n = truth.obs["n_cells"].to_numpy(float)
    half = np.asarray(truth.halves[:, split], dtype=float)
    full = view(truth, Predicted("", "", "", mean=truth.mean))
    other = full.y - half * other_half(n)[:, None]
    rows = np.searchsorted(truth.contexts, truth.obs["context"].astype(str).to_numpy())
    control = np.asarray(truth.controls["halves"][:, split], dtype=float)[rows]
    n0, n_a = (np.asarray(truth.controls[name], dtype=float)[rows] for name in ("n", "n_a"))
    size = n_a if split == 0 else n0 // 2  # halving 0 is the one that separates shown from kept controls
    cells = [
        one[rng_of(split, key).permutation(len(one))]
        for key, one in zip(truth.obs.index, full.cells, strict=True)
    ]
    return replace(
        full,
        y=other,
        y_half=other,
        mu0_shown=full.mu0 + control,
        mu0_kept=full.mu0 - control * (size / (n0 - size))[:, None],
        yhat=full.y + half,
        yhat_split=full.y + half,
        variance=np.asarray(truth.variance, dtype=float),
        n_predicted=n // 2,
        cells=[one[len(one) // 2 :] for one in cells],
        cells_hat=[one[: len(one) // 2] for one in cells],
    )


def duplicate_scores(truth: Truth, keys: list[str]) -> dict[str, np.ndarray]:
    """Score of the half duplicate per metric, averaged over the halvings where it is defined, `(conditions,)`.

    Metrics on gene lists use halving 0 alone, whose half A chose the genes, and are scored on half B as every model
    is. In any other halving both halves hold cells that chose the genes, and agree on them where nothing changed:
    without any effect the top-20 correlation of 19 such halvings was 0.6, of halving 0 about 0.

    Source: metrics.md sections 3.6 and 6.2.
    """
    views = [half_view(truth, split) for split in range(N_HALVES)]
    scores = {}
    for key in keys:
        use = views[:1] if METRICS[key].de_source else views
        values = np.stack([METRICS[key].compute(v) for v in use])
        defined = ~np.isnan(values)
        total = np.where(defined, values, 0).sum(axis=0)
        scores[key] = np.where(defined.any(axis=0), total / np.maximum(defined.sum(axis=0), 1), np.nan)
    return scores


def within_error(truth: Truth, v: View, key: str) -> np.ndarray:
    """Standard error of each condition's value due to its own measured cells, `(conditions,)`.

    The value against random halves (20, both sides of each) scatters as the value against all cells scatters over new
    cells of the condition: a delete-half jackknife. About the mean of the halves, not about the value of all cells,
    because an error measured on half the cells is larger throughout. Undefined for metrics that look at more than the
    condition's mean.

    Source: Efron and Tibshirani 1993, chapter 11 (delete-d jackknife).
    """
    if not METRICS[key].of_mean:
        return np.full(len(v.y), np.nan)
    n, moved = truth.obs["n_cells"].to_numpy(float), []
    for split in range(N_HALVES):
        half = np.asarray(truth.halves[:, split], dtype=float)
        for y in (v.y + half, v.y - half * other_half(n)[:, None]):
            moved.append(METRICS[key].compute(replace(v, y=y)))
    return np.std(moved, axis=0)
