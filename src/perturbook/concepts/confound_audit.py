"""What else differs between a prototype and its counterfactual than the concept.

Source: `concepts.md` section 5.2. Genes that dissociation induces: van den Brink et al. 2017 (doi 10.1038/nmeth.4437), the
strongest of them; which sex-linked genes are listed is our choice.
"""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from perturbook.concepts.attribution import ConceptAttribution
from perturbook.concepts.counterfactual_cells import distances_to
from perturbook.concepts.embedded_cells import Cells

CLASSES = {
    "ribosomal": r"RP[LS]\d+[AXYL]?\d*|RPLP[012]|RPSA",
    "mitochondrial": r"MT-.+",
    "sex-linked": r"XIST|TSIX|RPS4Y[12]|DDX3Y|EIF1AY|KDM5D|UTY|USP9Y|ZFY|TMSB4Y|NLGN4Y",
    "dissociation": r"FOSB?|JUN[BD]?|EGR1|ATF3|IER2|DUSP1|NR4A1|ZFP36|HSPA1[AB]|HSPA8|HSP90A[AB]1|HSPE1|HSPB1|DNAJ[AB]1|SOCS3",
}
"""Patterns of whole gene symbols, by class."""
TOP = 50


def labels_agree(attribution: ConceptAttribution, cells: Cells, columns: Sequence[str]) -> pd.DataFrame:
    """Share of pairs whose two cells have the same label, one row per column, beside the share over all pairs of cells.

    Columns `pairs` and `any two cells`; labels that are missing agree with none.
    """
    pairs = attribution.pairs.dropna(subset=["counterfactual"])
    rows = {}
    for column in columns:
        labels = cells.obs[column].to_numpy()
        counts = pd.Series(labels).value_counts().to_numpy(float)
        same = [
            labels[int(a)] == labels[int(b)]
            for a, b in zip(pairs["prototype"], pairs["counterfactual"], strict=True)
        ]
        n = len(labels)
        rows[column] = {
            "pairs": np.mean(same) if same else np.nan,
            "any two cells": (counts * (counts - 1)).sum() / (n * (n - 1)),
        }
    return pd.DataFrame(rows).T.rename_axis("label")


def distance_ratio(attribution: ConceptAttribution, cells: Cells) -> np.ndarray:
    """Distance to the counterfactual over the mean distance to any other cell, `(pairs,)`; near 1 is no neighbour."""
    made = []
    for one in attribution.matched:
        every = distances_to(cells.embeddings, one.cell)
        made += [distance * (len(every) - 1) / every.sum() for distance in one.distances]
    return np.array(made)


def gene_classes(attribution: ConceptAttribution, top: int = TOP) -> pd.DataFrame:
    """Share of technical genes among the highest `top` of the ranking and among all tested genes; index class."""
    ranked = list(attribution.ranking.index)
    rows = {}
    for name, pattern in CLASSES.items():
        of = np.array([bool(re.fullmatch(pattern, gene, re.IGNORECASE)) for gene in ranked])
        rows[name] = {
            f"top {top}": of[:top].mean() if len(of) else np.nan,
            "tested": of.mean() if len(of) else np.nan,
        }
    return pd.DataFrame(rows).T.rename_axis("class")
