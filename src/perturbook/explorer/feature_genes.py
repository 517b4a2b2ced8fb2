"""Of one feature: its genes by attribution and by DE, with every number that stands beside an attribution.

Source: `concepts.md` sections 5 and 8. Numbers of prototypes and of verified genes are our choice, so that hundreds of features
take minutes: where a screen is given, genes that it does not verify have the score that a derivative predicts.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from perturbook.concepts.attribution import ConceptAttribution
from perturbook.concepts.attribution_diagnostics import NULL_PERCENTILE
from perturbook.concepts.deletion_curve import SIZES, deletion_curve, halves
from perturbook.concepts.swap_encoder import Concepts
from perturbook.concepts.token_swap import KINDS
from perturbook.explorer.rounding import digits
from perturbook.explorer.subject import Subject

TOP, SWAPPED = 25, 8
"""Genes shown of each order; swaps shown of each prototype."""
OTHERS = 10
"""Cells shown that are neither prototypes nor silent, of each of two kinds."""
JUDGED = 4
"""Pairs that a deletion curve is measured on."""
GRID = np.round(np.r_[0, np.geomspace(0.0005, 0.5, 24), 0.01, 0.02, 0.05, 0.1], 4)
"""Cutoffs at which tested genes are counted."""


@dataclass(frozen=True)
class GenesOf:
    """One attributed feature."""

    subject: Subject
    found: ConceptAttribution
    de: pd.Series
    """Rank-sum z of training cells in which the feature is active against the others, index gene."""
    null: list[ConceptAttribution] = field(default_factory=list)
    """The feature under negative controls."""

    @property
    def tested(self) -> pd.DataFrame:
        """Scores of the genes that are tested, with `score`: exact where there is one, else predicted."""
        return tested(self.found)

    def genes(self) -> pd.DataFrame:
        """The first genes by attribution and by DE; columns of the atlas without uid."""
        own = self.tested.assign(de=self.de.reindex(self.tested.index))
        by = "pre" if self.found.rank_by == "pre" else "score"
        first = [own.sort_values([one, "gene"], ascending=[False, True]).index[:TOP] for one in (by, "de")]
        own = own.loc[first[0].union(first[1], sort=False)]
        kinds = dict(zip(("changed", "removed", "added"), KINDS, strict=True))
        made = {
            "gene": own.index,
            "attribution": own["score"],
            "error": own["error"],
            "tested": own["tested"],
        }
        made |= {"same_sign": own["same_sign"]} | {name: own[kind] for name, kind in kinds.items()}
        made = pd.DataFrame(made | {"pre": own["pre"], "de": own["de"]}).reset_index(drop=True)
        inexact = (own["status"] != "exact").to_numpy()
        made.loc[inexact, ["error", "same_sign", "pre"]] = np.nan
        floats = made.columns.drop(["gene", "tested"])
        made[floats] = digits(made[floats])
        return made

    def cutoffs(self) -> pd.DataFrame:
        """Tested genes with a score above each cutoff."""
        scores, grid = self.tested["score"].to_numpy(), np.unique(GRID)
        return pd.DataFrame({"cutoff": grid, "genes": [(scores > one).sum() for one in grid]})

    @property
    def null_cutoff(self) -> float:
        """99th percentile of the absolute scores of tested genes under negative controls; NaN without any."""
        pooled = np.concatenate([tested(one)["score"].abs().to_numpy() for one in self.null] or [np.zeros(0)])
        return float(np.percentile(pooled, NULL_PERCENTILE)) if len(pooled) else np.nan

    def curves(self, concepts: Concepts) -> pd.DataFrame:
        """Code left after the first genes of an order are swapped, on prototypes that did not decide the order; or nothing
        where fewer than two prototypes have a counterfactual. Columns order, genes, left."""
        if sum(bool(one.read) for one in self.found.matched) < 2:
            return pd.DataFrame({"order": [], "genes": [], "left": []})
        decides, judged = halves(self.found)
        own = tested(decides, least=1)["score"].reindex(self.found.genes).fillna(0).to_numpy()
        level = np.asarray(
            self.subject.training.counts[[one.cell for one in decides.matched]].mean(axis=0)
        ).ravel()
        scores = {"attribution": own, "DE": self.de.to_numpy(), "expression": level}
        rng = np.random.default_rng([self.subject.seed, self.found.concept])
        scores["random"] = rng.random(len(own))
        judged = ConceptAttribution(
            judged.concept, judged.genes, judged.swaps, judged.matched[:JUDGED], judged.refused
        )
        curve = deletion_curve(self.subject.encoder, concepts, judged, scores, SIZES)
        made = curve.rename_axis("order").melt(ignore_index=False, var_name="genes", value_name="left")
        return made.reset_index().assign(left=lambda of: digits(of["left"]))

    def examples(self, codes: np.ndarray) -> pd.DataFrame:
        """Prototypes with their counterfactuals; cells around the median active one; and random active cells.

        Args:
            codes: of the feature in every cell of the subject, `(cells,)`.
        """
        rows, train = [], np.flatnonzero(self.subject.part == "train")
        for one in self.found.matched:
            read = one.read[0] if one.read else None
            other, apart = (train[read.pair.counterfactual], one.distances[0]) if read else (-1, np.nan)
            differing = len(read.pair.at) if read else 0
            rows.append(("top", train[one.cell], codes[train[one.cell]], other, apart, differing))
        rows += other_examples(codes, {row[1] for row in rows}, self.subject.seed)
        return example_table(rows)

    def swaps(self) -> pd.DataFrame:
        """Of every prototype the genes whose swap takes most of the code, with the values before and after."""
        counts, train = self.subject.training.counts, np.flatnonzero(self.subject.part == "train")
        made = self.found.swaps.assign(score=lambda of: of["relative"].where(of["exact"], of["first_order"]))
        made = made.sort_values(["prototype", "score", "gene"], ascending=[True, False, True])
        made = made.groupby("prototype", sort=False).head(SWAPPED)
        before, after = (
            np.array([counts[at, gene] for at, gene in zip(made[of], made["gene"], strict=True)])
            for of in ("prototype", "counterfactual")
        )
        names = np.array(self.found.genes, object)
        return pd.DataFrame(
            {
                "cell": train[made["prototype"]],
                "gene": names[made["gene"]],
                "before": digits(before),
                "after": digits(after),
                "relative": digits(made["score"]),
            }
        )

    def completeness(self) -> float:
        """Median over prototypes of the sum of scores of all swaps: 1 where genes add up, since the joint swap takes all."""
        own = self.found.swaps
        each = own["relative"].where(own["exact"], own["first_order"]).groupby(own["prototype"]).sum()
        return float(each.median()) if len(each) else np.nan


def tested(found: ConceptAttribution, least: int | None = None) -> pd.DataFrame:
    """Scores of the genes that differ in enough prototypes (or in `least`), with `score`: exact where there is one, else predicted."""
    scores = found.scores
    kept = scores[scores["status"] != "not tested"] if least is None else scores[scores["tested"] >= least]
    return kept.assign(score=kept["relative"].where(kept["relative"].notna(), kept["first_order"]))


def other_examples(codes: np.ndarray, taken: set[int], seed: int) -> list[tuple]:
    """Cells around the median active one, and random active cells, none of them in `taken`."""
    active = np.flatnonzero(codes > 0)
    order = active[np.argsort(-codes[active], kind="stable")]
    middle = order[np.argsort(np.abs(np.arange(len(order)) - (len(order) - 1) / 2), kind="stable")]
    drawn, rows = np.random.default_rng(seed).permutation(active), []
    for stratum, of in (("middle", middle), ("random", drawn)):
        chosen = [int(one) for one in of if int(one) not in taken][:OTHERS]
        taken = taken | set(chosen)
        rows += [(stratum, one, codes[one], -1, np.nan, 0) for one in chosen]
    return rows


def example_table(rows: list[tuple]) -> pd.DataFrame:
    """Columns of the atlas without uid."""
    names = ["stratum", "cell", "code", "counterfactual", "distance", "differing"]
    made = pd.DataFrame(rows, columns=names)
    return made.assign(code=digits(made["code"]), distance=digits(made["distance"]))
