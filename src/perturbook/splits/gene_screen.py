"""One context of a screen as the gene settings see it: singles, doubles, and the genes behind their labels."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perturbook.data.gene_labels import genes_of
from perturbook.errors import ConfigError
from perturbook.splits.partition import Split
from perturbook.splits.setting import Drawn, Screen

Genes = tuple[str, ...]


def genes_by_label(labels: Collection[str]) -> dict[str, Genes]:
    """The sorted genes of each perturbation, so that both orders of a pair are one."""
    return {label: tuple(sorted(genes_of(label))) for label in labels}


@dataclass(frozen=True)
class GeneScreen:
    """The treated cells of one context; the cells of every other context are in no part of a gene setting."""

    screen: Screen
    """Labels of the whole data set."""
    context: str
    """The context the setting concerns."""
    labels: dict[str, Genes]
    """Genes of each perturbation of the context."""

    @classmethod
    def of(cls, screen: Screen, context: str | None) -> "GeneScreen":
        """Keep one context; raises ConfigError where it is not known, or not named though there are several."""
        contexts = screen.levels("context")
        if context is None and len(contexts) == 1:
            context = contexts[0]
        if context not in contexts:
            raise ConfigError(
                f"context={context!r} must name one of {', '.join(contexts)}; a gene setting concerns one context at a time."
            )
        here = screen.obs.loc[screen.treated & (screen.obs["context"] == context).to_numpy(), "perturbation"]
        return cls(screen, context, genes_by_label(sorted(here.unique())))

    def sized(self, n: int) -> list[Genes]:
        """The conditions of `n` genes, sorted; raises ConfigError where there is none."""
        found = sorted({genes for genes in self.labels.values() if len(genes) == n})
        if not found:
            raise ConfigError(
                f"This setting needs {('single', 'double')[n - 1]} perturbations, and {self.context} has none."
            )
        return found

    def named(self, held_out: str | list[str], n: int) -> list[Genes]:
        """The conditions of `n` genes that a reader named, in either order; raises ConfigError naming what is missing."""
        asked = genes_by_label([held_out] if isinstance(held_out, str) else held_out)
        present = self.sized(n)
        if missing := sorted(label for label, genes in asked.items() if genes not in present):
            raise ConfigError(
                f"held_out names {missing}, which {self.context} does not have as {('single', 'double')[n - 1]} "
                f"perturbations. Present: {', '.join('+'.join(genes) for genes in present)}."
            )
        return sorted(set(asked.values()))

    def cells(self, conditions: Collection[Genes]) -> np.ndarray:
        """Mask of the treated cells of these conditions in the context, `(cells,)`."""
        labels = [label for label, genes in self.labels.items() if genes in set(conditions)]
        here = (self.screen.obs["context"] == self.context) & self.screen.obs["perturbation"].isin(labels)
        return self.screen.treated & here.to_numpy()

    def drawn(
        self,
        test: np.ndarray,
        valid: np.ndarray,
        learned: np.ndarray,
        options: dict[str, Any],
        strata: Mapping[Genes, str] | None = None,
    ) -> Drawn:
        """Assemble a draw from masks of treated cells; what is neither tested nor learned from is in no part."""
        controls = ~self.screen.treated & (self.screen.obs["context"] == self.context).to_numpy()
        withheld = ~(test | valid | learned | controls)
        names = tuple(sorted(set(self.screen.obs.loc[test, "perturbation"])))
        by_label = strata and {label: strata[g] for label, g in self.labels.items() if g in strata}
        return Drawn(test, valid, withheld, names, {"context": self.context} | options, by_label)


def forbidden_where(screen: Screen, split: Split, forbids: Callable[[Genes], bool]) -> np.ndarray:
    """Cells of contexts that are not asked about, and treated cells of conditions whose genes are forbidden."""
    labels = [
        label for label, genes in genes_by_label(screen.levels("perturbation")).items() if forbids(genes)
    ]
    outside = ~screen.obs["context"].isin(split.conditions["context"])
    return outside.to_numpy() | (screen.treated & screen.obs["perturbation"].isin(labels).to_numpy())


def asked(split: Split) -> set[Genes]:
    """The genes of each condition to predict."""
    return set(genes_by_label(split.conditions["perturbation"].unique()).values())


def unseen_genes(split: Split, n_seen: Mapping[Genes, int]) -> set[str]:
    """Genes that no training condition may contain, told from what is asked about.

    They are those that the split says it withholds, and every gene of a tested condition of which it withholds too few.

    Args:
        split: the split.
        n_seen: of each tested condition, how many genes training may contain.
    """
    said = set(split.options["unseen_genes"])
    return said.union(*(genes for genes, n in n_seen.items() if len(set(genes) - said) > n))
