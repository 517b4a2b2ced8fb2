"""`matching_mean`: the average of what the genes do alone."""

import numpy as np

from perturbook.models.mean_effects import at_dose
from perturbook.models.protocol import model
from perturbook.models.single_effects import Genes, OfSingles


@model("matching_mean", title="Matching mean", role="floor")
class MatchingMean(OfSingles):
    """yhat = mean of the two single centroids; the one where only one is seen; `mean_train` where none is.

    Source: metrics.md section 7 (Systema).
    """

    missing = "training holds no treated cell"

    def _shift(self, context: str, genes: Genes, dose: float) -> np.ndarray | None:
        seen = [part for part in self._parts(context, genes) if part is not None]
        return np.mean(seen or at_dose(self.effects, dose).to_numpy(), axis=0)
