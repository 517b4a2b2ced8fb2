"""Traps after the scores: how many values an interval may call independent, and how many tests a page made."""

from itertools import combinations

import numpy as np
import pandas as pd

from perturbook.evaluation.intervals import bootstrap_difference, bootstrap_mean
from perturbook.evaluation.paired_tests import signed_rank, smallest_p
from perturbook.evaluation.ranksum import benjamini_hochberg

ALPHA = 0.05
RESAMPLES = 400


def smallest(sizes: tuple[int, ...] = (3, 4, 5, 6, 8, 10)) -> pd.DataFrame:
    """Smallest p-value of the signed-rank test by the number of paired differences, all of one sign.

    Returns:
        Index n; `p` found by the test, `2 / 2^n` by arithmetic. Source: metrics.md section 8.
    """
    values = [np.arange(1.0, n + 1) for n in sizes]
    rows = {"p": [signed_rank(v) for v in values], "2 / 2^n": [smallest_p(v) for v in values]}
    return pd.DataFrame(rows, index=pd.Index(sizes, name="paired differences"))


def missed(seed: int, repeats: int) -> pd.DataFrame:
    """How often do 95 % intervals miss a difference that is 0 in truth, where conditions share a drug or genes?

    Differences are the sum of a part that all conditions of a drug (or of a gene) share and one of their own, of equal
    variance: 20 drugs at 4 doses, and the 66 doubles of 12 genes.

    Returns:
        Columns `conditions interval missed width`: share of intervals without the 0, and mean width. Source: our choice.
    """
    rng, rows = np.random.default_rng(seed), []
    drug = np.repeat(np.arange(20), 4).astype(str)
    pairs = np.array(list(combinations(range(12), 2)))
    for repeat in range(repeats):
        of_drugs = np.repeat(rng.normal(size=20), 4) + rng.normal(size=80)
        of_pairs = rng.normal(size=12)[pairs].sum(axis=1) + rng.normal(0, np.sqrt(2), size=66)
        for name, values, block in (
            ("20 drugs at 4 doses", of_drugs, drug),
            ("66 doubles of 12 genes", of_pairs, pairs.astype(str)),
        ):
            for kind, shared in (("conditions alone", None), ("what they share", block)):
                i = bootstrap_mean(values, n=RESAMPLES, seed=repeat, block=shared)
                rows.append((name, kind, not i.low <= 0 <= i.high, i.high - i.low))
    table = pd.DataFrame(rows, columns=["conditions", "interval", "missed", "width"])
    return table.groupby(["conditions", "interval"], sort=False).mean().reset_index()


def paired_widths(first: np.ndarray, second: np.ndarray, block: np.ndarray, seed: int) -> pd.Series:
    """Width of the interval of a difference, from pairs and as if the two methods had met different conditions.

    Args:
        first: scores of one method, `(conditions,)`.
        second: scores of the other on the same conditions.
        block: what conditions share, as in `bootstrap_mean`.
        seed: decides the resamples.

    Returns:
        difference, low, high, paired width and unpaired width (the square root of the sum of both squared widths).

    Source: metrics.md section 8.
    """
    pair = bootstrap_difference(first, second, seed=seed, block=block)
    alone = [bootstrap_mean(v, seed=seed, block=block) for v in (first, second)]
    return pd.Series(
        {
            "difference": pair.mean,
            "low": pair.low,
            "high": pair.high,
            "paired": pair.high - pair.low,
            "unpaired": np.hypot(*(i.high - i.low for i in alone)),
        }
    )


def lucky_pages(seed: int, repeats: int, n_methods: int = 20, n_units: int = 12) -> pd.Series:
    """Share of pages on which a method without any merit is called better or worse than the floor.

    Args:
        seed: decides the differences, which are noise.
        repeats: pages.
        n_methods: methods compared on a page.
        n_units: paired differences per method.

    Returns:
        `p` and `q`: share of pages with a p-value, or a Benjamini-Hochberg value, below .05. Source: our choice.
    """
    rng = np.random.default_rng(seed)
    p = np.array([[signed_rank(d) for d in rng.normal(size=(n_methods, n_units))] for _ in range(repeats)])
    found = {"p": p, "q": benjamini_hochberg(p)}
    return pd.Series({name: (v < ALPHA).any(axis=1).mean() for name, v in found.items()})
