"""Duplicates: what one half of the measured cells says of the other, by the metric itself."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from perturbook.evaluation.half_distances import two_samples_of_halves
from perturbook.evaluation.metric import METRICS
from perturbook.evaluation.predicted import Predicted
from perturbook.evaluation.truth import N_HALVES, Truth
from perturbook.evaluation.view import Options, View, other_half, view

OF_TWO_SAMPLES = {"edist_u", "mmd2_u"}
"""Metrics that are columns of `View.two_samples`."""


def whole_view(truth: Truth, options: Options | None = None) -> View:
    """All measured cells as their own prediction; what views of halves are made from."""
    moments = {"mean": truth.mean, "variance": truth.variance, "n_cells": truth.obs["n_cells"].to_numpy()}
    return view(truth, Predicted("", "", "", **moments, coordinates=truth.coordinates), options)


def half_view(whole: View, split: int) -> View:
    """Half A of treated cells and controls as the prediction, half B of both as the truth.

    Variances of halves are not stored: the unbiased variance of all cells stands for both, so that `var_ratio` is 1.

    Args:
        whole: of `whole_view`.
        split: which of the 20 halvings. Gene lists and tests of single genes always come from halving 0.

    Source: metrics.md section 6.2.
    """
    truth = whole.truth
    n = truth.obs["n_cells"].to_numpy(float)
    half = np.asarray(truth.halves[:, split], dtype=float)
    other = whole.y - half * other_half(n)[:, None]
    control = np.asarray(truth.controls["halves"][:, split], dtype=float)[truth.context_rows]
    n0, n_a = (np.asarray(truth.controls[name], dtype=float)[truth.context_rows] for name in ("n", "n_a"))
    size = n_a if split == 0 else n0 // 2  # halving 0 is the one that separates shown from kept controls
    in_a = [masks[split] for masks in truth.cells_in_a]
    untested = np.full(half.shape, -1, np.int8)
    return replace(
        whole,
        y=other,
        y_half=other,
        mu0_shown=whole.mu0 + control,
        mu0_kept=whole.mu0 - control * (size / (n0 - size))[:, None],
        yhat=whole.y + half,
        yhat_split=whole.y + half,
        variance=np.asarray(truth.variance, dtype=float),
        n_predicted=n // 2,
        significant=untested if split else truth.significant["b"],
        significant_hat=untested if split else truth.significant["a"],
        cells=[one[~mask] for one, mask in zip(whole.cells, in_a, strict=True)],
        cells_hat=[one[mask] for one, mask in zip(whole.cells, in_a, strict=True)],
    )


def _two_samples(truth: Truth) -> np.ndarray:
    """`View.two_samples` of every halving, `(halvings, conditions, 2)`, from distances that all halvings share."""
    described = zip(truth.cells, truth.cells_in_a, truth.median_distances, strict=True)
    return np.stack([two_samples_of_halves(*one) for one in described], axis=1)


def duplicate_scores(
    truth: Truth, keys: Iterable[str], options: Options | None = None
) -> dict[str, np.ndarray]:
    """Score of the half duplicate per metric, averaged over the halvings where it is defined, `(conditions,)`.

    Metrics on gene lists use halving 0 alone, whose half A chose the genes, and are scored on half B as every model
    is. In any other halving both halves hold cells that chose the genes, and agree on them where nothing changed:
    without any effect the top-20 correlation of 19 such halvings was 0.6, of halving 0 about 0. Gene sets, which need
    tests of all genes in both halves, are told by halving 0 alone too.

    Source: metrics.md sections 3.6 and 6.2.
    """
    whole, shape = whole_view(truth, options), (len(truth.obs),)
    total, defined = ({key: np.zeros(shape) for key in keys} for _ in range(2))
    two_samples = _two_samples(truth) if OF_TWO_SAMPLES & set(total) else None
    for split in range(N_HALVES):
        v = half_view(whole, split)
        if two_samples is not None:
            vars(v)["two_samples"] = two_samples[split]  # where the cached property keeps its value
        for key in total:
            if not (split and METRICS[key].first_halving):
                values = METRICS[key].compute(v)
                defined[key] += ~np.isnan(values)
                total[key] += np.where(np.isnan(values), 0, values)
    return {key: total[key] / np.where(defined[key] > 0, defined[key], np.nan) for key in total}


def interpolated_scores(
    truth: Truth, keys: Iterable[str], options: Options | None = None
) -> dict[str, np.ndarray]:
    """Score of the interpolated duplicate per metric, `(conditions,)`; NaN for metrics of generated cells.

    Half A of halving 0 predicts half B, each gene drawn towards the training centroid the less certain it differs
    from control.

    Source: metrics.md section 6.3.
    """
    whole = whole_view(truth, options)
    half = half_view(whole, 0)
    mean = interpolated(half.yhat, np.asarray(truth.q, dtype=float), half.centroid)
    v = replace(
        half,
        yhat=mean,
        yhat_split=mean,
        variance=np.zeros_like(mean),
        n_predicted=np.full(len(mean), np.inf),
        significant_hat=np.full(mean.shape, -1, np.int8),
        cells_hat=[point[None] for point in truth.project(mean)],
    )
    absent = np.isnan(mean).any(axis=1)
    scores = {}
    for key in keys:
        blank = absent | METRICS[key].needs_cells
        scores[key] = np.where(blank, np.nan, METRICS[key].compute(v))
    return scores


def interpolated(duplicate: np.ndarray, q: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Shrink what is noise in a duplicate: (1 - q) * duplicate + q * reference.

    Args:
        duplicate: mean profiles of one half, `(conditions, genes)`.
        q: adjusted p-values of the same half, same shape.
        reference: mean of the training centroids, same shape.

    Returns:
        Mean profiles, same shape.

    Source: metrics.md section 6.3 (Miller et al.).
    """
    return (1 - q) * duplicate + q * reference


def within_error(v: View, key: str) -> np.ndarray:
    """Standard error of each condition's value due to its own measured cells, `(conditions,)`.

    The value against random halves (20, both sides of each) scatters as the value against all cells scatters over new
    cells of the condition: a delete-half jackknife. About the mean of the halves, not about the value of all cells,
    because an error measured on half the cells is larger throughout. Undefined for metrics that look at more than the
    condition's mean.

    Source: Efron and Tibshirani 1993, chapter 11 (delete-d jackknife).
    """
    if not METRICS[key].of_mean:
        return np.full(len(v.y), np.nan)
    n, moved = v.obs["n_cells"].to_numpy(float), []
    for split in range(N_HALVES):
        half = np.asarray(v.truth.halves[:, split], dtype=float)
        for y in (v.y + half, v.y - half * other_half(n)[:, None]):
            moved.append(METRICS[key].compute(replace(v, y=y)))
    return np.std(moved, axis=0)
