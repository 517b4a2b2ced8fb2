"""Rankings and gene sets small enough to be worked out by hand, or planted so that the answer is known."""

import numpy as np
import pandas as pd

from perturbook.concepts.gene_sets import GeneSets, Library


def library(**sets) -> Library:
    """Sets under their names; the checksum is no file's."""
    return Library("hand-made", "0" * 64, sets)


def scored(n: int = 300, seed: int = 0) -> pd.Series:
    """Normal scores of the genes g000, g001 and so on."""
    values = np.random.default_rng(seed).standard_normal(n)
    return pd.Series(values, [f"g{one:03d}" for one in range(n)])


def random_sets(genes, n: int = 14, seed: int = 1) -> dict[str, list[str]]:
    """Sets of 10 to 60 random genes, some of equal size."""
    rng = np.random.default_rng(seed)
    return {
        f"set {one}": rng.choice(genes, min(10 + 10 * (one % 6), len(genes)), replace=False).tolist()
        for one in range(n)
    }


def planted(scores: pd.Series, size: int = 20) -> Library:
    """Random sets, and one of the genes with the largest scores."""
    top = scores.sort_values(ascending=False).index[:size].tolist()
    return library(planted=top, **random_sets(scores.index))


def small_sets(of: Library, genes, least: int = 2) -> GeneSets:
    """Sets of few genes too."""
    return GeneSets.of(of, genes, least=least)
