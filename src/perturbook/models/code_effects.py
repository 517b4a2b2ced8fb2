"""What regressions on codes share: all they know of a condition is which genes are perturbed, 1 or 0 for each."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from perturbook.errors import NotApplicable
from perturbook.models.protocol import Training
from perturbook.models.single_effects import Genes, OfSingles


class OfCodes(OfSingles):
    """yhat = mu0 + what a regression of training effects on codes gives, one per context, singles and doubles alike.

    A code is one-hot for a gene and two-hot for a pair. A condition with a gene that training never perturbed in its
    context is NaN: no row ever carried its column.
    """

    missing = "every condition asked about has a gene that training never perturbed"

    def fit(self, train: Training) -> "OfCodes":
        """Fit a regression per context; raises NotApplicable where doses vary, which a code cannot name."""
        super().fit(train)
        if self.effects.index.get_level_values("dose_um").nunique() > 1:
            raise NotApplicable("a code names what was perturbed, and not the dose")
        contexts = self.effects.index.get_level_values("context").to_numpy(str)
        self.columns, self.regressions = {}, {}
        for context in np.unique(contexts):
            rows = np.flatnonzero(contexts == context)
            own = [self.genes[row] for row in rows]
            self.columns[context] = sorted(set().union(*own))
            x = two_hot(own, self.columns[context])
            self.regressions[context] = self._regress(x, self.effects.to_numpy()[rows])
        return self

    @abstractmethod
    def _regress(self, x: np.ndarray, y: np.ndarray):
        """A fitted estimator of scikit-learn, from codes `(conditions, genes perturbed)` to effects `(conditions, genes)`."""

    def _shift(self, context: str, genes: Genes, dose: float) -> np.ndarray | None:
        columns = self.columns.get(context, [])
        if not set(genes) <= set(columns):
            return None
        return self.regressions[context].predict(two_hot([genes], columns))[0]


def two_hot(conditions: Sequence[Genes], columns: Sequence[str]) -> np.ndarray:
    """Which gene is perturbed in which condition, 0 or 1, `(conditions, columns)`."""
    return np.array([[float(gene in genes) for gene in columns] for genes in conditions])
