"""The running sum of preranked enrichment, for many sets and many rankings at once, and its null shared by sets of one size.

    ES = the value of largest size of  sum over hits up to i of |s| / sum over hits of |s|  -  misses up to i / (N - k)

Under permuted genes a set of k genes is k random places in the ranking, so all sets of one size share one null; and it
depends on the scores alone, so rankings of the same scores in another order of genes share it too. What is computed is
what gseapy's `prerank` computes. Source: `concepts.md` section 6; Subramanian et al. 2005; sharing is our choice.
"""

from dataclasses import dataclass

import numpy as np

PERMUTATIONS = 1000


def enrichment_scores(weights: np.ndarray, places: np.ndarray) -> np.ndarray:
    """ES of sets of one size.

    Args:
        weights: |score| of the genes in the order of the ranking, `(N,)`.
        places: of the genes of each set in that order, from 0, ascending, `(..., sets, k)` with k < N.

    Returns:
        `(..., sets)`, between -1 and 1; NaN where all genes of a set weigh nothing.
    """
    k = places.shape[-1]
    hits = np.cumsum(weights[places], axis=-1)
    missed = (places - np.arange(k)) / (len(weights) - k)
    with np.errstate(divide="ignore", invalid="ignore"):
        after = hits / hits[..., -1:] - missed
    before = after[..., :-1] - np.diff(missed, axis=-1)
    high, low = after.max(axis=-1), np.minimum(-missed[..., 0], before.min(axis=-1, initial=0))
    return np.where(hits[..., -1] > 0, np.where(high >= -low, high, low), np.nan)


def running_sum(weights: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The running sum of one set along the ranking, `(N,)`; its value of largest size is the ES.

    Args:
        weights: |score| in the order of the ranking, `(N,)`.
        places: of the genes of the set, `(k,)`.
    """
    hit = np.zeros(len(weights), dtype=bool)
    hit[places] = True
    return np.cumsum(np.where(hit, weights / weights[hit].sum(), -1 / (~hit).sum()))


@dataclass(frozen=True)
class Null:
    """Enrichment scores of random sets, by size."""

    sizes: np.ndarray
    """Of the sets, `(distinct,)`, ascending."""
    values: list[np.ndarray]
    """By size, ascending, without undefined ones."""

    @classmethod
    def of(
        cls, weights: np.ndarray, sizes: np.ndarray, permutations: int = PERMUTATIONS, seed: int = 0
    ) -> "Null":
        """Draw the null of a ranking for sets of the given sizes.

        Args:
            weights: |score| in the order of the ranking, `(N,)`.
            sizes: of the sets; each distinct one is drawn once.
            permutations: random sets of each size. gseapy draws one fewer and counts the ranking itself.
            seed: of the places, which are the same for all rankings of N genes.
        """
        rng, distinct = np.random.default_rng([seed, len(weights)]), np.unique(sizes)
        drawn = np.stack([rng.permutation(len(weights))[: distinct[-1]] for _ in range(permutations)])
        found = [enrichment_scores(weights, np.sort(drawn[:, :size], axis=1)) for size in distinct]
        return cls(distinct, [np.sort(one[~np.isnan(one)]) for one in found])

    def normalised(self, es: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """NES and p of sets.

        Args:
            es: `(..., sets)`.
            sizes: `(sets,)`, all among those of the null.

        Returns:
            ES over the mean size of null values of its sign, and the share of these that are as large; `(..., sets)`. Both
            NaN where no null value has the sign. p is at least 1 / (permutations + 1).
        """
        nes, p = np.full(es.shape, np.nan), np.full(es.shape, np.nan)
        for size, null in zip(self.sizes, self.values, strict=True):
            own = sizes == size
            one, start = es[..., own], int(np.searchsorted(null, 0))
            negative, positive = null[:start], null[start:]
            for sign, side, as_large in (
                (one < 0, negative, np.searchsorted(null, one, side="right")),
                (one >= 0, positive, len(null) - np.searchsorted(null, one, side="left")),
            ):
                if len(side) and (mean := np.abs(side.mean())) > 0:
                    nes[..., own] = np.where(sign, one / mean, nes[..., own])
                    share = np.maximum(as_large / len(side), 1 / (len(null) + 1))
                    p[..., own] = np.where(sign, share, p[..., own])
        return nes, p

    def fdr(self, nes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """False discovery rate of normalised scores `(..., sets)` within each row, as gseapy has it.

        The share of null NES of the sign that are as large, over the share of observed ones, at most 1; the nulls of all
        sets of a row count, so the same scores among other sets have another rate.
        """
        counts = np.array([(sizes == one).sum() for one in self.sizes])
        pooled, times = [], []
        for null, count in zip(self.values, counts, strict=True):
            for side in (null[null < 0], null[null >= 0]):
                mean = np.abs(side.mean()) if len(side) else 0
                pooled.append(side / mean if mean > 0 else side[:0])
                times.append(np.full(len(pooled[-1]), count))
        null, times = np.concatenate(pooled), np.concatenate(times)
        made = np.full(nes.shape, np.nan)
        for sign, own in ((-1, null < 0), (1, null >= 0)):
            side = np.sort(sign * null[own])
            below = np.concatenate([[0], np.cumsum(times[own][np.argsort(sign * null[own], kind="stable")])])
            theirs = nes < 0 if sign < 0 else nes >= 0
            value = np.where(theirs, sign * nes, np.nan)
            expected = (below[-1] - below[np.searchsorted(side, value, side="left")]) / max(below[-1], 1)
            order = np.sort(value, axis=-1)  # NaN last
            rank = np.apply_along_axis(_as_large, -1, np.concatenate([order, value], axis=-1))
            observed = rank / np.maximum(theirs.sum(axis=-1, keepdims=True), 1)
            with np.errstate(divide="ignore", invalid="ignore"):
                made = np.where(theirs, np.minimum(expected / observed, 1), made)
        return made


def _as_large(both: np.ndarray) -> np.ndarray:
    """Of a sorted half and the values in their own order, how many of the half are at least each value; NaN is no value."""
    order, value = np.split(both, 2)
    defined = order[~np.isnan(order)]
    return len(defined) - np.searchsorted(defined, value, side="left")
