"""`anchored_residual`: shrunken effects of two genes, and a residual learned gene by gene. Torch loads when it is fitted.

Source: `perturbedvae.md` section 16.1 (b) and (c), without latents.
"""

from perturbook.models.protocol import Prediction, Query, Training, model


@model("anchored_residual", title="Anchored residual, gene by gene", role="model")
class AnchoredResidual:
    """The sum of two shrunken effects plus what other pairs teach about genes in the same position; see `Anchored`.

    Source: perturbedvae.md section 16.1 (b) and (c), without latents.
    """

    def fit(self, train: Training) -> "AnchoredResidual":
        """Learn; raises NotApplicable with too few training doubles of two seen singles."""
        from perturbook.models.perturbed_vae.anchored import Anchored

        self.inner = Anchored().fit(train)
        return self

    def predict(self, query: Query) -> Prediction:
        """Means; NaN where training lacks a single."""
        return self.inner.predict(query)
