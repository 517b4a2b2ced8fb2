"""`discrepancy_vae` and `sams_vae`: the two methods PerturbedVAE is compared with most. Torch loads when one is fitted.

Source: `perturbedvae.md` section 13.
"""

from abc import ABC, abstractmethod
from typing import Any

from perturbook.models.protocol import Prediction, Query, Training, model


class Arm(ABC):
    """A predecessor. It is trained once, on the cells without the reference controls, and asked twice."""

    fits_once = True
    quick: dict[str, Any] = {"epochs": 1}
    """Fields that make its training short."""

    def __init__(self, **fields: Any):
        """Args: `fields` of its `Predictor` that differ, such as epochs."""
        self.fields = fields

    @abstractmethod
    def _made(self):
        """The `Predictor`, not trained."""

    def fit(self, train: Training) -> "Arm":
        """Train; raises NotApplicable where codes cannot name what was done to the cells."""
        self.inner = self._made().fit(train)
        return self

    def describe(self, train: Training) -> dict[str, Any]:
        """What `fit` would train, JSON-ready; see `Predecessor.describe`."""
        return self._made().describe(train)

    def predict(self, query: Query) -> Prediction:
        """Generated cells of each condition; NaN where training never perturbed a gene of it."""
        return self.inner.predict(query)


@model("discrepancy_vae", title="Discrepancy-VAE", role="model")
class DiscrepancyVAE(Arm):
    """Latent shifts carried on by a causal graph, and an MMD between whole distributions; two genes shift by the sum.

    Source: Zhang et al. 2023 after perturbedvae.md section 13.
    """

    def _made(self):
        from perturbook.models.predecessors.discrepancy_vae import Predictor

        return Predictor(**self.fields)


@model("sams_vae", title="SAMS-VAE", role="model")
class SAMSVAE(Arm):
    """Sparse additive shifts of latents, with masks that are learned, and counts; two genes shift by the sum.

    Source: Bereket and Karaletsos 2023 after perturbedvae.md section 13.
    """

    def _made(self):
        from perturbook.models.predecessors.sams_vae import Predictor

        return Predictor(**self.fields)
