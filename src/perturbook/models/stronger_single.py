"""`stronger_single`: one of the two genes does all the work."""

import numpy as np

from perturbook.models.protocol import model
from perturbook.models.single_effects import Genes, OfSingles


@model("stronger_single", title="Stronger single alone", role="floor")
class StrongerSingle(OfSingles):
    """yhat = mu0 + the single effect of larger Euclidean norm; the seen one where only one is seen.

    Where neither is seen it is the mean effect of the training singles (our choice).

    Source: floors-and-peers.md section 1.
    """

    missing = "training holds no single in the context"

    def _shift(self, context: str, genes: Genes, dose: float) -> np.ndarray | None:
        seen = [part for part in self._parts(context, genes) if part is not None]
        return max(seen, key=np.linalg.norm) if seen else self._mean_single(context)
