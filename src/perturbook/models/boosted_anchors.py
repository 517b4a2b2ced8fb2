"""`boosted_anchors`: shrunken effects of two genes, and a residual that boosted trees learned gene by gene.

The able simple opponent of `anchored_residual`, whose networks read the same anchors. scikit-learn loads when it is fitted.
"""

from perturbook.models.protocol import Prediction, Query, Training, model


@model("boosted_anchors", title="Boosted trees on anchors", role="opponent")
class BoostedAnchors:
    """The sum of two shrunken effects plus what trees learned from other pairs about genes in the same position; see `Boosted`.

    Source: our choice, as the simple opponent of perturbedvae.md section 16.1 (b) and (c).
    """

    def fit(self, train: Training) -> "BoostedAnchors":
        """Learn; raises NotApplicable with too few training doubles of two seen singles."""
        from perturbook.models.perturbed_vae.boosted import Boosted

        self.inner = Boosted().fit(train)
        return self

    def predict(self, query: Query) -> Prediction:
        """Means; the sum alone for singles, NaN where training lacks a single."""
        return self.inner.predict(query)
