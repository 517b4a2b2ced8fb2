"""Gene sets of one feature, by attribution and by DE on the same tested genes, and how often matched random rankings have one.

Source: `concepts.md` section 6; the number of random rankings is our choice.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perturbook.concepts.enrichment import LEVEL
from perturbook.concepts.fast_prerank import FastPrerank
from perturbook.concepts.gene_sets import GeneSets, Library
from perturbook.concepts.matched_null import annotated
from perturbook.errors import InputError
from perturbook.explorer.rounding import digits

SHOWN, RANKINGS, PERMUTATIONS = 8, 20, 1000
LEADING = 12


def terms(
    scores: pd.Series, de: pd.Series, detected: pd.Series, libraries: Sequence[Library], seed: int = 0
) -> tuple[pd.DataFrame, int, float]:
    """The sets with the largest NES at the top of the ranking, and those that are significant at its bottom.

    Args:
        scores: attribution of every tested gene, index gene.
        de: rank-sum z of the same genes.
        detected: share of the prototypes that express each.
        libraries: each gives rates of its own.
        seed: of permutations and of random rankings.

    Returns:
        Columns of the atlas without uid; how many sets of all libraries have an FDR below 0.05 by attribution; and the share
        of matched random rankings with at least one, NaN where no library has a set of enough tested genes.
    """
    rows, count, null = [], 0, []
    for library in libraries:
        try:
            sets = GeneSets.of(library, scores.index)
        except InputError:  # no set has ten tested genes, so there is nothing to ask
            continue
        for by, values in (("attribution", scores), ("de", de)):
            fast = FastPrerank.of(values, sets, PERMUTATIONS, seed)
            table = fast.table().sort_values("NES", ascending=False, kind="stable")
            if by == "attribution":
                count += int((table["FDR"] < LEVEL).sum())
                null.append(annotated(fast, detected, RANKINGS, seed).null)
            ordered = values.sort_values(ascending=False, kind="stable")
            top, bottom = table[table["NES"] > 0], table[(table["NES"] < 0) & (table["FDR"] < LEVEL)]
            for name, row in pd.concat([top.head(SHOWN), bottom.tail(SHOWN)]).iterrows():
                way = ordered if row["NES"] > 0 else -ordered[::-1]
                leading = leading_edge(way, set(sets.genes(name)))
                rows.append((by, library.name, name, row["NES"], row["FDR"], int(row["size"]), leading))
    made = pd.DataFrame(rows, columns=["by", "library", "term", "nes", "fdr", "size", "leading"])
    made = made.assign(nes=digits(made["nes"]), fdr=digits(made["fdr"]))
    share = float((np.sum(null, axis=0) > 0).mean()) if null else np.nan
    return made, count, share


def leading_edge(ordered: pd.Series, members: set[str]) -> str:
    """Genes of a set up to the largest running sum of a falling ranking, the first few, joined by ";"."""
    inside = np.array([gene in members for gene in ordered.index])
    weight = np.where(inside, np.abs(ordered.to_numpy()), 0.0)
    if not weight.sum():
        return ""
    path = np.cumsum(weight / weight.sum() - ~inside / max((~inside).sum(), 1))
    peak = int(path.argmax())
    return ";".join(
        [gene for gene, own in zip(ordered.index[: peak + 1], inside, strict=False) if own][:LEADING]
    )
