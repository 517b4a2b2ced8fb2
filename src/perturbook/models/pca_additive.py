"""`pca_additive`: the shifts of two genes add up between principal components of cells."""

import numpy as np
import scipy.sparse as sp

from perturbook.data.schema import expression
from perturbook.models.additive_pairs import AdditivePairs
from perturbook.models.protocol import Prediction, Query, Training, model


@model("pca_additive", title="PCA + additive", role="opponent")
class PcaAdditive(AdditivePairs):
    """yhat = decode(z0 + (z_a - z0) + (z_b - z0)), z the mean of cells in the first principal components of training cells.

    Encoding and decoding are affine, so that this is the additive prediction put through both: what lies outside of the
    components, noise or effect, is lost, of the control mean too. With all components it is the additive floor.

    Source: perturbedvae.md section 10, Table 16 (PCA + additive); 50 components are our choice.
    """

    components = 50

    def fit(self, train: Training) -> "PcaAdditive":
        """Keep the single effects and the principal components of all cells, controls included."""
        from sklearn.decomposition import PCA  # slow to import

        super().fit(train)
        order = np.argsort(train.cells.obs_names.to_numpy(str))
        x = sp.csr_matrix(expression(train.cells), dtype=float)[order]
        self.pca = PCA(min(self.components, *x.shape), svd_solver="covariance_eigh").fit(x)
        return self

    def predict(self, query: Query) -> Prediction:
        """The sum, encoded and decoded; NaN where training lacks a single."""
        mean = super().predict(query).mean
        rows = np.isfinite(mean).all(axis=1)
        mean[rows] = self.pca.inverse_transform(self.pca.transform(mean[rows]))
        return Prediction(mean)
