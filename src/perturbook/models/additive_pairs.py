"""Additive floors for gene pairs: the effects of the two genes add up. They differ in what a missing single does."""

import numpy as np

from perturbook.models.protocol import model
from perturbook.models.single_effects import Genes, OfSingles


@model("additive_pairs", title="Additive (pairs)", role="floor")
class AdditivePairs(OfSingles):
    """yhat = mu0 + (y_a - mu0) + (y_b - mu0); not defined where training lacks a single.

    Source: metrics.md section 7, `additive` (pairs).
    """

    missing = "training lacks a single of every condition asked about"

    def _shift(self, context: str, genes: Genes, dose: float) -> np.ndarray | None:
        filled = [self._fill(context, part) for part in self._parts(context, genes)]
        return None if any(part is None for part in filled) else np.sum(filled, axis=0)

    def _fill(self, context: str, part: np.ndarray | None) -> np.ndarray | None:
        return part


@model("additive_zero_fill", title="Additive, missing single = no effect", role="floor")
class AdditiveZeroFill(AdditivePairs):
    """The same sum, in which a gene without a training single has no effect.

    Source: metrics.md section 7, rules.
    """

    def _fill(self, context: str, part: np.ndarray | None) -> np.ndarray | None:
        return np.zeros(self.effects.shape[1]) if part is None else part


@model("additive_mean_fill", title="Additive, missing single = mean single", role="floor")
class AdditiveMeanFill(AdditivePairs):
    """The same sum, in which a gene without a training single has the mean effect of the training singles.

    Source: metrics.md section 7, rules.
    """

    missing = "training holds no single in the context"

    def _fill(self, context: str, part: np.ndarray | None) -> np.ndarray | None:
        return self._mean_single(context) if part is None else part
