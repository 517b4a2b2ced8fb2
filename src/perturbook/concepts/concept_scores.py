"""From swaps to one score per gene: means over prototypes, with what stands behind each.

Source: `concepts.md` sections 5.1 and 5.3.
"""

import numpy as np
import pandas as pd

from perturbook.concepts.token_swap import KINDS

LEAST_TESTED = 5
"""A gene that differs in fewer prototypes is not tested, and leaves the universe."""
MOST_OVERTAKEN = 0.2
"""Share of overtaken swaps above which genes are ranked by the pre-activation."""
DELTAS = ("relative", "absolute", "pre")


def concept_scores(
    swaps: pd.DataFrame, genes: list[str], counterfactuals: dict[int, int], least_tested: int = LEAST_TESTED
) -> pd.DataFrame:
    """Scores of one concept, one row per gene of the data, in their order.

    Args:
        swaps: one row per (prototype, counterfactual, differing gene), see `ConceptAttribution.swaps`.
        genes: names of all genes.
        counterfactuals: how many each prototype has, by prototype; those without any are not among them.
        least_tested: prototypes in which a gene must differ.

    Returns:
        `relative`, `absolute`, `pre`: means over all prototypes with a counterfactual, 0 where the gene is equal in both
        cells, NaN where a swap of the gene was not computed. `tested`: prototypes in which it differs. `mean_tested`: mean
        of `relative` over those. `error`: standard error of `relative`. One column per kind of swap: its share of the
        swaps. `same_sign`: share of the tested prototypes whose relative attribution has the sign of the score.
        `overtaken`: share of its swaps. `first_order`: mean predicted relative change, NaN without a screen. `status`:
        "exact", "screened" where a swap has a first-order value only, "not tested" below `least_tested`.
    """
    prototypes = np.array(sorted(counterfactuals), dtype=np.int64)
    n, size = len(prototypes), len(genes)
    gene = swaps["gene"].to_numpy()
    place = np.searchsorted(prototypes, swaps["prototype"].to_numpy())
    share = 1 / np.array([counterfactuals[one] for one in prototypes], dtype=float)
    key, cell = np.unique(gene.astype(np.int64) * max(n, 1) + place, return_inverse=True)
    of_gene = key // max(n, 1)  # one entry per (gene, prototype)

    def per_prototype(column: str) -> np.ndarray:
        """Mean over the counterfactuals of each prototype, equal genes counting 0, `(entries,)`."""
        return np.bincount(cell, swaps[column].to_numpy(float) * share[place], len(key))

    def over_genes(values: np.ndarray) -> np.ndarray:
        """Sum over the prototypes of each gene, `(genes,)`."""
        return np.bincount(of_gene, values, size)

    def share_of_swaps(which: np.ndarray) -> np.ndarray:
        """Share of the swaps of each gene for which `which` `(swaps,)` holds, `(genes,)`; NaN without a swap."""
        return np.bincount(gene, which, size) / np.bincount(gene, minlength=size)

    with np.errstate(divide="ignore", invalid="ignore"):
        each, tested = per_prototype("relative"), np.bincount(of_gene, minlength=size)
        made = {delta: over_genes(per_prototype(delta)) / n for delta in DELTAS}
        mean = made["relative"]
        variance = (over_genes(each**2) - n * mean**2) / (n - 1)
        made |= {
            "tested": tested,
            "mean_tested": over_genes(each) / tested,
            "error": np.sqrt(np.maximum(variance, 0) / n),
        }
        for number, kind in enumerate(KINDS):
            made[kind] = share_of_swaps(swaps["kind"].to_numpy() == number)
        made["same_sign"] = over_genes(np.sign(each) == np.sign(mean)[of_gene]) / tested
        made["overtaken"] = share_of_swaps(swaps["overtaken"].to_numpy())
        made["first_order"] = over_genes(per_prototype("first_order")) / n
    screened = np.bincount(gene, ~swaps["exact"].to_numpy(), size) > 0
    made["status"] = np.where(tested < least_tested, "not tested", np.where(screened, "screened", "exact"))
    made["same_sign"][np.isnan(mean)] = np.nan
    return pd.DataFrame(made, index=pd.Index(genes, name="gene"))


def ranking(scores: pd.DataFrame, by: str = "relative") -> pd.Series:
    """Exact, tested genes by score, highest first, ties by name; index gene, values the scores."""
    kept = scores.loc[scores["status"] == "exact", [by]].rename_axis("gene").reset_index()
    kept = kept.sort_values([by, "gene"], ascending=[False, True], kind="stable")
    return kept.set_index("gene")[by]
