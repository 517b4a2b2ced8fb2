"""Genes as a predictor sees them: the Gene Ontology processes each takes part in, with a plain reason where there are none."""

from functools import cache

import numpy as np

from perturbook import data
from perturbook.errors import DataUnavailable, NotApplicable
from perturbook.models.protocol import Training

GO = "geneset-go-bp"


@cache
def _terms() -> dict[str, frozenset[str]]:
    """The processes of each gene symbol."""
    found: dict[str, set[str]] = {}
    for name, symbols in data.load(GO).items():
        for symbol in symbols:
            found.setdefault(symbol, set()).add(name)
    return {symbol: frozenset(names) for symbol, names in found.items()}


def gene_terms(train: Training) -> dict[str, frozenset[str]]:
    """The processes of every gene that has some; raises NotApplicable where no gene is perturbed, or GO is not at hand."""
    kinds = train.cells.obs.get("kind")
    if kinds is not None and not kinds.astype(str).str.startswith("CRISPR").any():
        raise NotApplicable("the perturbations of this data set are no genes")
    try:
        return _terms()
    except DataUnavailable as why:
        raise NotApplicable(f"{GO} is not at hand: {why}") from why


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared processes over all processes of two genes."""
    return len(one & other) / len(one | other)


def membership(genes: list[str], terms: dict[str, frozenset[str]], names: list[str]) -> np.ndarray:
    """Which gene takes part in which of the processes `names`, 0 or 1, `(genes, processes)`."""
    return np.array([[float(name in terms[gene]) for name in names] for gene in genes])
