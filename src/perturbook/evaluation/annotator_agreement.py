"""Do annotators agree? Percent agreement, Cohen's kappa, PABAK and shared terms, with bootstrap intervals over items.

Source: `concepts.md` section 8; Cohen, Educational and Psychological Measurement 20:37 (1960) and Psychological Bulletin 70:213
(1968, weighted kappa); Byrt, Bishop and Carlin, Journal of Clinical Epidemiology 46:423 (1993, PABAK).
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array

from perturbook.errors import InputError, ShapeError
from perturbook.evaluation.intervals import MIN_CONDITIONS, Interval, bootstrap_mean

UNDEFINED = 0.05
"""Largest share of resamples in which kappa may be undefined; with more there is no interval. Our choice."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % percentile interval; NaN where undefined, or where there is no interval."""

    value: float
    """On the items as they are."""
    low: float
    """2.5 % percentile over resampled items."""
    high: float
    """97.5 % percentile."""


@dataclass(frozen=True)
class Agreement:
    """Two ratings of the same items."""

    counts: np.ndarray
    """Items by first and second rating, `(categories, categories)`."""
    share: Estimate
    """Share of items with equal ratings."""
    kappa: Estimate
    """Cohen's kappa, weighted where weights were asked for."""
    pabak: Estimate
    """Prevalence-adjusted and bias-adjusted kappa, `(q p - 1) / (q - 1)` of the share p with q categories."""

    @property
    def items(self) -> int:
        """Items that both rated."""
        return int(self.counts.sum())


def agreement(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    categories: Sequence[Hashable],
    *,
    weighted: bool = False,
    n: int = 10_000,
    seed: int = 0,
) -> Agreement:
    """Agreement of two ratings of the same items.

    Args:
        first: one category per item, `(items,)`.
        second: the same, in the same order.
        categories: all categories that could be chosen, in their order; PABAK counts them whether chosen or not.
        weighted: a disagreement weighs the squared distance of its categories, for ratings on a scale; kappa is then near the
            intraclass correlation (Fleiss and Cohen, Educational and Psychological Measurement 33:613, 1973).
        n: resamples of items; no interval below 10 items.
        seed: decides the resamples; the order of items does not matter.

    Returns:
        An `Agreement`; kappa is NaN where both used one and the same category alone, everything is where there is no item.

    Raises:
        ShapeError: the ratings differ in length.
        InputError: a rating is none of the categories, or there are fewer than two.
    """
    if len(first) != len(second):
        raise ShapeError(
            f"{len(first)} and {len(second)} ratings; two ratings of the same items are compared."
        )
    if strange := sorted(map(repr, (set(first) | set(second)) - set(categories))):
        raise InputError(
            f"The rating {strange[0]} is none of the categories {', '.join(map(str, categories))}."
        )
    if (q := len(set(categories))) < 2:
        raise InputError("Agreement needs two categories or more; with one nothing can be disagreed about.")
    place = {category: i for i, category in enumerate(categories)}
    counts = np.zeros((q, q), dtype=np.int64)
    np.add.at(counts, ([place[one] for one in first], [place[one] for one in second]), 1)
    items = len(first)
    distance = np.abs(np.subtract.outer(np.arange(q), np.arange(q)))
    weights = distance**2 if weighted else distance > 0
    drawn = np.zeros((0, q, q))
    if items >= MIN_CONDITIONS:
        drawn = np.random.default_rng(seed).multinomial(items, counts.ravel() / items, size=n)
        drawn = drawn.reshape(n, q, q)
    share = _estimate(_share(counts), _share(drawn))
    pabak = Estimate(*((q * one - 1) / (q - 1) for one in (share.value, share.low, share.high)))
    return Agreement(counts, share, _estimate(_kappa(counts, weights), _kappa(drawn, weights)), pabak)


def between(
    ratings: Mapping[str, Mapping[str, Hashable]], categories: Sequence[Hashable], **options
) -> dict[tuple[str, str], Agreement]:
    """Agreement of every two annotators, each pair on the items that both rated.

    Args:
        ratings: annotator -> item -> category.
        categories: as in `agreement`, as are `options`.

    Raises:
        InputError: there are fewer than two annotators.
    """
    if len(ratings) < 2:
        raise InputError(
            f"Agreement between annotators cannot be computed with {len(ratings)} of them; it needs two or more."
        )
    found = {}
    for one, other in combinations(sorted(ratings), 2):
        both = sorted(set(ratings[one]) & set(ratings[other]))
        mine, theirs = ([ratings[name][item] for item in both] for name in (one, other))
        found[one, other] = agreement(mine, theirs, categories, **options)
    return found


@dataclass(frozen=True)
class SharedTerms:
    """How often two annotators gave one item a term in common."""

    share: Interval
    """Share of items, of those to which both gave a term."""
    chance: float
    """The same share where the terms of one annotator are put to another item of the other's; NaN with one item."""


def shared_terms(first: Sequence[Collection[str]], second: Sequence[Collection[str]]) -> SharedTerms:
    """Label agreement by shared terms of an ontology; an item to which either gave none is left out.

    Terms are compared as they are: a term and its parent do not agree.

    Raises:
        ShapeError: the two differ in length.
    """
    if len(first) != len(second):
        raise ShapeError(
            f"{len(first)} and {len(second)} lists of terms; two of the same items are compared."
        )
    both = [(set(mine), set(theirs)) for mine, theirs in zip(first, second, strict=True) if mine and theirs]
    share = bootstrap_mean(np.array([bool(mine & theirs) for mine, theirs in both], dtype=float))
    n = len(both)
    if n < 2:
        return SharedTerms(share, np.nan)
    terms = sorted(set().union(*(mine | theirs for mine, theirs in both)))
    mine, theirs = (_incidence([pair[side] for pair in both], terms) for side in (0, 1))
    common = (mine @ theirs.T).astype(bool)
    return SharedTerms(share, float((common.sum() - common.diagonal().sum()) / (n * (n - 1))))


def _incidence(sets: list[set[str]], terms: list[str]) -> csr_array:
    """Which item has which term, `(items, terms)`."""
    place = {term: i for i, term in enumerate(terms)}
    pairs = [(row, place[term]) for row, held in enumerate(sets) for term in held]
    rows, columns = np.array(pairs).T
    return csr_array((np.ones(len(pairs), dtype=np.int64), (rows, columns)), shape=(len(sets), len(terms)))


def _share(counts: np.ndarray) -> np.ndarray:
    """Share on the diagonal of tables `(..., q, q)`; NaN where a table is empty."""
    items = counts.sum(axis=(-2, -1))
    return _divided(np.trace(counts, axis1=-2, axis2=-1), items)


def _kappa(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """One minus observed over expected disagreement of tables `(..., q, q)`; NaN where none is expected."""
    items = counts.sum(axis=(-2, -1))
    expected = counts.sum(axis=-1)[..., :, None] * counts.sum(axis=-2)[..., None, :]
    return 1 - _divided(
        items * (counts * weights).sum(axis=(-2, -1)), (expected * weights).sum(axis=(-2, -1))
    )


def _divided(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=np.asarray(below) != 0)


def _estimate(value: np.ndarray, drawn: np.ndarray) -> Estimate:
    if not len(drawn) or np.isnan(drawn).mean() > UNDEFINED:
        return Estimate(float(value), np.nan, np.nan)
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))
