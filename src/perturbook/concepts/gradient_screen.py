"""Screening by one derivative, then exact verification of what it puts first, and of some others to see what it misses.

Source: `concepts.md` section 5.3, point 6; that the leading genes of a concept are verified in every pair, so that each
has an exact score, is our choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbook.concepts.concept_pairs import ReadPair
from perturbook.concepts.concept_scores import LEAST_TESTED
from perturbook.concepts.swap_encoder import Concepts, SwapEncoder
from perturbook.errors import ConfigError

TOPS = (20, 50)
LEAST_RECALL = 0.9


@dataclass(frozen=True, kw_only=True)
class Screen:
    """How much is verified exactly; raises ConfigError for a negative number or none at all."""

    q: int = 200
    """Genes of each (cell, concept) with the largest change to first order."""
    others: int = 50
    """Random others of each pair."""
    lead: int = 100
    """Genes with the largest sum over the pairs of a concept, of those that differ often enough to be ranked, which are
    verified in every pair."""
    seed: int = 0

    def __post_init__(self):
        if self.q < 1 or self.others < 0 or self.lead < 0:
            raise ConfigError(
                f"q is {self.q}, others {self.others}, lead {self.lead}; expected at least 1, 0 and 0."
            )


def first_order(
    encoder: SwapEncoder, concepts: Concepts, read: ReadPair, chosen: Sequence[int]
) -> np.ndarray:
    """Change of the pre-activation of each chosen concept by each swap that differs, `(chosen, swaps)`, to first order."""
    pair = read.pair
    every = encoder.first_order(
        pair.genes, pair.base, pair.other, lambda z: concepts.pre_activations(z)[:, list(chosen)]
    )
    return every[:, pair.at]


def largest(changes: np.ndarray, q: int) -> np.ndarray:
    """Places of the `q` largest absolute changes, largest first; ties by place."""
    return np.argsort(-np.abs(changes), kind="stable")[:q]


def shortlists(
    pairs: Sequence[ReadPair], changes: Sequence[np.ndarray], of: Sequence[np.ndarray], screen: Screen
) -> list[np.ndarray]:
    """Positions on the list of each pair that are verified exactly, ascending; one pass serves all concepts of a pair.

    Args:
        pairs: each once.
        changes: from `first_order`, one array per pair, `(concepts of the pair, swaps)`.
        of: which concepts these are, `(concepts of the pair,)`.
        screen: how many.
    """
    sums: dict[int, dict[int, list[float]]] = {}
    for read, change, numbers in zip(pairs, changes, of, strict=True):
        for number, row in zip(numbers, np.abs(change), strict=True):
            by_gene = sums.setdefault(int(number), {})
            for gene, value in zip(read.pair.genes[read.pair.at].tolist(), row.tolist(), strict=True):
                by_gene.setdefault(gene, []).append(value)
    leading = {number: _leading(by_gene, screen.lead) for number, by_gene in sums.items()}
    verified = []
    for read, change, numbers in zip(pairs, changes, of, strict=True):
        at, genes = read.pair.at, read.pair.genes[read.pair.at]
        taken = np.zeros(len(at), dtype=bool)
        for number, row in zip(numbers, change, strict=True):
            taken[largest(row, screen.q)] = True
            taken |= np.isin(genes, leading[int(number)])
        rest = np.flatnonzero(~taken)
        draw = np.random.default_rng([screen.seed, read.pair.cell, read.pair.counterfactual])
        taken[draw.choice(rest, min(screen.others, len(rest)), replace=False)] = True
        verified.append(at[taken])
    return verified


def _leading(by_gene: dict[int, list[float]], lead: int) -> list[int]:
    """Genes with the largest sums, of those that differ often enough to be ranked."""
    often = min(LEAST_TESTED, max(map(len, by_gene.values()), default=0))
    totals = {gene: sum(values) for gene, values in by_gene.items() if len(values) >= often}
    return sorted(totals, key=lambda gene: (-totals[gene], gene))[:lead]


def recall(
    exact: np.ndarray, screened: np.ndarray, q: int = 200, tops: Sequence[int] = TOPS
) -> dict[str, float]:
    """What a shortlist of `q` by the screened changes holds of what is really largest, for one (cell, concept).

    Args:
        exact: attributions of every swap that differs, `(swaps,)`.
        screened: changes to first order, `(swaps,)`.
        q: length of the shortlist.
        tops: sizes of the true top lists.

    Returns:
        `recall@20` and so on: share of the true top list that is on the shortlist (of all swaps where there are fewer);
        `missed`: share of the total absolute attribution that is not. NaN where nothing differs.
    """
    listed = np.zeros(len(exact), dtype=bool)
    listed[largest(screened, q)] = True
    size = np.abs(np.asarray(exact, dtype=float))
    made = {
        f"recall@{top}": float(listed[largest(size, top)].mean()) if len(size) else float("nan")
        for top in tops
    }
    total = size.sum()
    return made | {"missed": float(size[~listed].sum() / total) if total else float("nan")}


def audit(
    swaps: Sequence[tuple[np.ndarray, np.ndarray]], qs: Sequence[int] = (50, 100, 200, 400)
) -> pd.DataFrame:
    """Recall over fully exact (cell, concept) pairs for several shortlists: means and the worst pair; index `q`.

    Args:
        swaps: per (cell, concept) the exact attributions and the changes to first order, `(swaps,)` each; ten or more.
        qs: lengths of the shortlist.
    """
    rows = {}
    for q in qs:
        each = pd.DataFrame([recall(exact, screened, q) for exact, screened in swaps])
        worst = each.filter(like="recall").min().add_prefix("worst ")
        rows[q] = pd.concat([each.mean(), worst, pd.Series({"pairs": len(each)})])
    return pd.DataFrame(rows).T.rename_axis("q")


def enough(audited: pd.DataFrame, least: float = LEAST_RECALL) -> int:
    """The shortest audited shortlist whose mean recall@20 reaches `least`.

    Raises:
        ConfigError: none does; audit longer ones.
    """
    good = audited.index[audited["recall@20"] >= least]
    if not len(good):
        raise ConfigError(
            f"No shortlist up to {audited.index.max()} reaches a recall@20 of {least:g}; audit longer ones, or attribute "
            f"exactly (screen=None)."
        )
    return int(good.min())
