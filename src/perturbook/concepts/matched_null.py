"""What enrichment finds where there is nothing to find: scores and lists dealt to genes that are detected as often.

A gene that is expressed in most cells is tested more often, moves more, and is better annotated, whatever the concept. A
share of concepts with a significant set is therefore read beside the share of these random rankings. Source: `concepts.md`
section 6, "matched null"; the bins are of equal numbers of genes, our choice.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from perturbook.concepts.enrichment import LEVEL
from perturbook.concepts.fast_prerank import FastPrerank
from perturbook.concepts.overrepresentation import hits_and_p
from perturbook.errors import ConfigError, InputError

RANKINGS, BINS = 100, 10


@dataclass(frozen=True)
class Annotated:
    """Significant sets of one concept, and of random rankings of the same scores."""

    sets: int
    """With an FDR below 0.05 in the concept's own ranking or list."""
    null: np.ndarray
    """The same in each random one, `(rankings,)`."""

    @property
    def share(self) -> float:
        """Share of random ones with at least one."""
        return float((self.null > 0).mean())

    @property
    def p(self) -> float:
        """Share of random ones with as many, the concept's own counted as one of them."""
        return float((1 + (self.null >= self.sets).sum()) / (1 + len(self.null)))


def detection_bins(detected: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Bin of each gene by its rank in detection rate `(genes,)`; bins differ by at most one gene, ties go by position.

    Raises:
        ConfigError: there are more bins than genes, or none. InputError: a rate is not finite.
    """
    if not 1 <= bins <= len(detected):
        raise ConfigError(f"bins is {bins}, of {len(detected)} genes; expected 1 to {len(detected)}.")
    if not np.isfinite(detected).all():
        raise InputError("A detection rate is not a finite number; give one for every tested gene.")
    rank = np.empty(len(detected), dtype=np.int64)
    rank[np.argsort(detected, kind="stable")] = np.arange(len(detected))
    return rank * bins // len(detected)


def dealt(
    values: np.ndarray, bins: np.ndarray, rankings: int = RANKINGS, seed: int | list[int] = 0
) -> np.ndarray:
    """Values `(genes,)` dealt anew among the genes of each bin `(genes,)`, `(rankings, genes)`."""
    rng, made = np.random.default_rng(seed), np.repeat(values[None], rankings, axis=0)
    for one in np.unique(bins):
        own = np.flatnonzero(bins == one)
        made[:, own] = rng.permuted(made[:, own], axis=1)
    return made


def annotated(
    fast: FastPrerank, detected: pd.Series, rankings: int = RANKINGS, seed: int | list[int] = 0
) -> Annotated:
    """Count significant sets, at either end, of a ranking and of matched random ones, by the fast screen.

    Args:
        fast: of the concept.
        detected: detection rate among the prototypes of each tested gene, index the gene.
        rankings: random ones.
        seed: of these.

    Raises:
        InputError: a tested gene has no detection rate.
    """
    rates = detected.reindex(fast.sets.universe).to_numpy(float)
    drawn = dealt(fast.scores, detection_bins(rates), rankings, seed)
    found = fast.of_rankings(np.vstack([fast.scores, drawn]))
    own, *null = (found["FDR"] < LEVEL).sum(axis=1)
    return Annotated(int(own), np.array(null))


def annotated_lists(
    fast: FastPrerank, detected: pd.Series, cutoff: float, rankings: int = RANKINGS, seed: int | list[int] = 0
) -> Annotated:
    """The same for over-representation: genes above a cutoff against random lists matched in length and detection.

    Raises:
        InputError: a tested gene has no detection rate.
    """
    rates = detected.reindex(fast.sets.universe).to_numpy(float)
    inside = fast.scores > cutoff
    lists = np.vstack([inside, dealt(inside, detection_bins(rates), rankings, seed)])
    own, *null = (false_discovery_control(hits_and_p(lists, fast.sets)[1], axis=1) < LEVEL).sum(axis=1)
    return Annotated(int(own), np.array(null))
