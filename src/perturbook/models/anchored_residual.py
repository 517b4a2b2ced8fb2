"""`anchored_residual`: shrunken effects of two genes, and a residual learned gene by gene; `anchored_latents` reads latents too.

Torch loads when one is fitted. Source: `perturbedvae.md` section 16.1 (b) and (c).
"""

from typing import Any

from perturbook.models.protocol import Prediction, Query, Training, model


@model("anchored_residual", title="Anchored residual, gene by gene", role="model")
class AnchoredResidual:
    """The sum of two shrunken effects plus what other pairs teach about genes in the same position; see `Anchored`.

    Source: perturbedvae.md section 16.1 (b) and (c), without latents.
    """

    quick: dict[str, Any] = {"epochs": 1}
    """Fields that make its training short."""
    latents = False
    """Whether the residual reads the responsive latents of PerturbedVAE besides the anchors."""

    def __init__(self, **fields: Any):
        """Args: `fields` of `Anchored`, such as epochs."""
        self.fields = fields

    def fit(self, train: Training) -> "AnchoredResidual":
        """Learn; raises NotApplicable with too few training doubles of two seen singles."""
        self.inner = self._made().fit(train)
        return self

    def describe(self, train: Training) -> dict[str, Any]:
        """What `fit` would train, JSON-ready."""
        return self._made().describe(train)

    def _made(self):
        """The model, not trained."""
        from perturbook.models.perturbed_vae.anchored import Anchored
        from perturbook.models.perturbed_vae.predictor import Predictor

        return Anchored(Predictor(**self.fields) if self.latents else None, **self.fields)

    def predict(self, query: Query) -> Prediction:
        """Means; NaN where training lacks a single."""
        return self.inner.predict(query)


@model("anchored_latents", title="Anchored residual, told the latents", role="model")
class AnchoredLatents(AnchoredResidual):
    """`anchored_residual` whose networks also read what PerturbedVAE's responsive latents do in this pair; see `Anchored`.

    Source: perturbedvae.md section 16.1 (b) and (c).
    """

    latents = True
