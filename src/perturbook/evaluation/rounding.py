"""The resolution of a bundle: what is kept of each measured or predicted number, always below its sampling error.

Steps have few binary digits, so that rounded numbers are exact in memory, and `packing` finds the step again.
"""

from dataclasses import replace

import numpy as np

from perturbook.evaluation.truth import Truth

MEAN_STEP = 2.0**-11
"""Step of a mean, log1p units: half a thousandth. Our choice."""
Q_STEP = 2.0**-6
"""Step of an adjusted p-value. Our choice."""
VARIANCE_BITS = 6
"""Significant bits of a variance, 1.6 % at most: the standard error of the variance of 8,000 cells. Our choice."""


def stored(values: np.ndarray, step: float | np.ndarray = MEAN_STEP) -> np.ndarray:
    """Round to multiples of `step`, float32, so that a deposit stays small and two readings agree."""
    return (np.round(np.asarray(values, dtype=float) / step) * step).astype(np.float32)


def stored_variance(values: np.ndarray) -> np.ndarray:
    """Round to six significant bits, float32; 0 stays 0."""
    mantissa, exponent = np.frexp(np.asarray(values, dtype=float))
    return np.ldexp(np.round(mantissa * 2**VARIANCE_BITS), exponent - VARIANCE_BITS).astype(np.float32)


def coordinate_step(coordinates: np.ndarray) -> float:
    """Step of PCA coordinates `(conditions, cells, components)`: a tenth of the smallest spread of a component or less."""
    spread = np.nanstd(coordinates, axis=(0, 1)) if coordinates.size else np.zeros(0)
    return _short(spread[spread > 0].min(initial=np.inf) / 10)


def stored_loadings(loadings: np.ndarray) -> np.ndarray:
    """Round loadings `(genes, components)` to a quarter of the size 1 / sqrt(genes) of a loading that all genes share."""
    return stored(loadings, _short(1 / np.sqrt(len(loadings)) / 4))


def rounded(truth: Truth) -> Truth:
    """The truth at the resolution of a bundle; the basis of the PCA has it from the start."""
    controls = dict(truth.controls)
    controls |= {name: stored(controls[name]) for name in ("mean", "mean_a")}
    controls["mean_b"] = kept_mean(controls)
    controls["variance"] = stored_variance(controls["variance"])
    halves = _coarse(controls["halves"])
    halves[:, 0] = controls["mean_a"] - controls["mean"]
    return replace(
        truth,
        mean=stored(truth.mean),
        variance=stored_variance(truth.variance),
        halves=_coarse(truth.halves),
        q=stored(truth.q, Q_STEP),
        coordinates=stored(truth.coordinates, coordinate_step(truth.coordinates)),
        controls={**controls, "halves": halves},
        others={
            **truth.others,
            "mean": stored(truth.others["mean"]),
            "variance": stored_variance(truth.others["variance"]),
        },
        centroid=stored(truth.centroid),
    )


def kept_mean(controls: dict[str, np.ndarray]) -> np.ndarray:
    """Mean of the kept controls, from that of all and that of the shown ones, `(contexts, genes)`, float32."""
    n, n_a = (np.asarray(controls[name], float)[:, None] for name in ("n", "n_a"))
    whole, shown = (np.asarray(controls[name], float) for name in ("mean", "mean_a"))
    return (whole - (shown - whole) * (n_a / np.where(n > n_a, n - n_a, np.nan))).astype(np.float32)


def _coarse(halves: np.ndarray) -> np.ndarray:
    """Round half-means to steps of 0.45 of their condition's error or less, which adds 1.7 % to its variance at most.

    Halving 0 is 32 times finer: gene lists are scored on its half B alone.
    """
    error = np.sqrt(np.mean(halves**2, axis=(1, 2), keepdims=True))
    step = _short(0.45 * np.where(error > 0, error, 2.0))
    coarse = stored(halves, step)
    coarse[:, 0] = stored(halves[:, 0], step[:, 0] / 32)
    return coarse


def _short(size):
    """The largest number of four binary digits up to `size`, whose multiples are exact; 1 where that is not finite."""
    mantissa, exponent = np.frexp(np.where(np.isfinite(size), size, 1.0))
    return np.ldexp(np.floor(mantissa * 16), exponent - 4)
