"""Whether two scores of the same genes, such as attribution and DE, say the same of genes and of sets.

Read it beside the same numbers for scores of permuted labels (`differential_genes.permuted`). Source: `concepts.md` section 6.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from perturbook.concepts.enrichment import LEVEL
from perturbook.concepts.fast_prerank import FastPrerank
from perturbook.errors import InputError


@dataclass(frozen=True)
class Agreement:
    """How alike two rankings are."""

    genes: float
    """Spearman correlation of the scores."""
    nes: float
    """Spearman correlation of NES over sets where both are defined."""
    jaccard: float
    """Of the significant sets; NaN where neither ranking has one."""
    significant: tuple[int, int]
    """Sets with an FDR below 0.05, of the first and the second."""


def agreement(first: FastPrerank, second: FastPrerank) -> Agreement:
    """Compare two rankings of the same genes.

    Raises:
        InputError: they are on other genes or other sets.
    """
    if (first.sets.universe, first.sets.names) != (second.sets.universe, second.sets.names):
        raise InputError(
            "The two rankings are not on the same genes and sets; score the same tested genes twice."
        )
    one, other = first.table(), second.table()
    lists = [set(table.index[table["FDR"] < LEVEL]) for table in (one, other)]
    either = lists[0] | lists[1]
    return Agreement(
        genes=spearman(first.scores, second.scores),
        nes=spearman(one["NES"].to_numpy(), other["NES"].to_numpy()),
        jaccard=len(lists[0] & lists[1]) / len(either) if either else float("nan"),
        significant=(len(lists[0]), len(lists[1])),
    )


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of ranks over places where both `(n,)` are defined; NaN where one does not vary."""
    both = ~(np.isnan(a) | np.isnan(b))
    x, y = (rankdata(one[both]) for one in (a, b))
    if both.sum() < 2 or not x.std() or not y.std():
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
