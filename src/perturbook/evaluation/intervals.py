"""Percentile bootstrap over conditions: how far would the mean move with other conditions of this kind?"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from perturbook.errors import ShapeError

MIN_CONDITIONS = 10
"""Below this many defined conditions every value is shown and no interval. Source: metrics.md section 8."""
MIN_BLOCKS = 5
"""Four blocks have 35 distinct resamples, too few to place a tail of 2.5 %; five have 126. Our choice."""
CHUNK = 2**20
"""Draws held in memory at once."""
KEPT = 2**24
"""Draws that are kept for the next call, 32 MB of them; of the weights of pairs half as many, 64 MB."""


@dataclass(frozen=True)
class Interval:
    """A mean over defined conditions with its 95 % interval, and how many conditions stand behind it."""

    mean: float
    """Unweighted mean over the defined conditions; NaN if there is none."""
    low: float
    """2.5 % percentile of the resampled means; NaN where no interval is given."""
    high: float
    """97.5 % percentile; NaN where no interval is given."""
    n_defined: int
    """Conditions with a value."""
    n_total: int
    """Conditions asked for; printed beside `n_defined`."""
    kind: str
    """What the interval is, in words for a caption."""


def bootstrap_mean(
    values: np.ndarray, *, n: int = 10_000, seed: int = 0, block: np.ndarray | None = None
) -> Interval:
    """Average over the defined conditions and bootstrap a percentile 95 % interval.

    Args:
        values: one value per condition, `(conditions,)`; NaN is undefined and left out, never replaced.
        n: resamples.
        seed: decides the resamples; the result does not depend on the order of the conditions.
        block: label per condition, `(conditions,)`, such as the drug: whole blocks are resampled, because doses
            and contexts of one drug are not independent. Every condition still weighs the same. Or two labels per
            condition, `(conditions, 2)`, such as the genes of a double ("" where there is one): genes are resampled,
            and a pair counts as often as the draws of its two genes multiply to. See `blocks.block_of`.

    Returns:
        An `Interval`; without bounds below 10 defined conditions, or below 5 blocks or genes.

    Raises:
        ShapeError: `block` does not have one row of labels per condition.

    Source: metrics.md section 8; Efron and Tibshirani 1993, chapter 13 (percentile interval).
    """
    values = np.asarray(values, dtype=np.float64)
    if block is not None and np.shape(block) not in (values.shape, (*values.shape, 2)):
        raise ShapeError(
            f"block is {np.shape(block)}, values are {values.shape}; one label per condition, or two."
        )
    defined = ~np.isnan(values)
    kept, n_total = values[defined], len(values)
    if not len(kept):
        return Interval(np.nan, np.nan, np.nan, 0, n_total, "undefined")
    block = None if block is None else np.asarray(block)[defined]
    if pairs := block is not None and block.ndim == 2:
        kept, members, n_units = _pairs(kept, block)
        mean = float(kept.mean())
    else:
        sums, counts = _blocks(kept, block)
        mean, n_units = float(sums.sum() / counts.sum()), len(sums)
    if len(kept) < MIN_CONDITIONS or (block is not None and n_units < MIN_BLOCKS):
        return Interval(mean, np.nan, np.nan, len(kept), n_total, "every value shown")
    if pairs:
        means = _resampled_pairs(kept, members, n_units, n, seed)
    else:
        means = _resampled_means(sums, counts, n, seed)
    low, high = np.nanpercentile(means, [2.5, 97.5])
    unit = "conditions" if block is None else f"{n_units} {'genes' if pairs else 'blocks'}"
    return Interval(mean, float(low), float(high), len(kept), n_total, f"95 % bootstrap over {unit}")


def bootstrap_difference(
    first: np.ndarray,
    second: np.ndarray,
    *,
    n: int = 10_000,
    seed: int = 0,
    block: np.ndarray | None = None,
) -> Interval:
    """Bootstrap the paired difference `first - second` over the conditions where both are defined.

    Both methods are resampled with the same conditions, so what they share cancels: for identical methods the
    interval is exactly [0, 0].

    Args:
        first: `(conditions,)`.
        second: `(conditions,)`, same conditions in the same order.
        n: resamples.
        seed: decides the resamples.
        block: as in `bootstrap_mean`.

    Returns:
        An `Interval` of the difference; `n_defined` counts conditions where both are defined.

    Raises:
        ShapeError: the arguments differ in length.

    Source: metrics.md section 8.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise ShapeError(
            f"paired methods have shapes {first.shape} and {second.shape}; score the same conditions."
        )
    return bootstrap_mean(first - second, n=n, seed=seed, block=block)


def _blocks(values: np.ndarray, block: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Sum and count of each resampled unit; sorted, so that the order of conditions does not matter."""
    if block is None:
        return np.sort(values), np.ones(len(values))
    _, inverse = np.unique(block, return_inverse=True)
    return np.bincount(inverse, weights=values), np.bincount(inverse).astype(float)


def _resampled_means(sums: np.ndarray, counts: np.ndarray, n: int, seed: int) -> np.ndarray:
    draws = _draws(len(sums), n, seed, pairs=False)
    return np.concatenate([(drawn @ sums) / (drawn @ counts) for drawn in draws])


def _pairs(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Values and gene positions `(conditions, 2)`, -1 for none, in an order of their own; and the number of genes."""
    block = np.sort(block.astype(str), axis=1)
    order = np.lexsort((values, block[:, 0], block[:, 1]))
    genes = np.unique(block[block != ""])
    members = np.where(block == "", -1, np.searchsorted(genes, block)).astype(np.int64)
    return values[order], members[order], len(genes)


def _resampled_pairs(values: np.ndarray, members: np.ndarray, n_genes: int, n: int, seed: int) -> np.ndarray:
    """Means weighted by the product of both genes' multiplicities; NaN for a resample that holds no pair."""
    made = _kept_weights if n * len(values) <= KEPT // 2 else _weights
    return np.concatenate([weights @ values for weights in made(members.tobytes(), n_genes, n, seed)])


@lru_cache(maxsize=4)
def _kept_weights(members: bytes, n_genes: int, n: int, seed: int) -> tuple[np.ndarray, ...]:
    return tuple(_weights(members, n_genes, n, seed))


def _weights(members: bytes, n_genes: int, n: int, seed: int) -> Iterator[np.ndarray]:
    """Weights of the conditions in each resample, `(resamples, conditions)`, summing to 1, in chunks."""
    first, second = np.frombuffer(members, dtype=np.int64).reshape(-1, 2).T
    for drawn in _draws(n_genes, n, seed, pairs=True):
        drawn = np.hstack([drawn, np.ones((len(drawn), 1))])  # -1, no second gene: once
        weights = drawn[:, first] * drawn[:, second]
        total = weights.sum(axis=1, keepdims=True)
        yield weights / np.where(total == 0, np.nan, total)


def _draws(n_units: int, n: int, seed: int, pairs: bool) -> Iterator[np.ndarray]:
    """How often each resample holds each unit, `(resamples, units)`, in chunks; kept, because every method and metric
    of a page is resampled alike."""
    made = _kept_draws if n * n_units <= KEPT else _drawn
    return (drawn.astype(float) for drawn in made(n_units, n, seed, pairs))


@lru_cache(maxsize=8)
def _kept_draws(n_units: int, n: int, seed: int, pairs: bool) -> tuple[np.ndarray, ...]:
    return tuple(_drawn(n_units, n, seed, pairs))


def _drawn(n_units: int, n: int, seed: int, pairs: bool) -> Iterator[np.ndarray]:
    rng, rows = np.random.default_rng(seed), max(1, CHUNK // n_units)
    for start in range(0, n, rows):
        size = min(rows, n - start)
        if pairs:
            drawn = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=size)
        else:
            places = rng.integers(n_units, size=(size, n_units)) + np.arange(size)[:, None] * n_units
            drawn = np.bincount(places.ravel(), minlength=size * n_units).reshape(size, n_units)
        yield drawn.astype(np.uint16)
