"""`random_forest`: trees that ask which genes are perturbed."""

import numpy as np

from perturbook.models.code_effects import OfCodes
from perturbook.models.protocol import model


@model("random_forest", title="Random forest on codes", role="opponent")
class RandomForest(OfCodes):
    """yhat = mu0 + mean over trees of the mean training effect in the leaf of the code.

    A tree that was grown on singles alone asks for one gene after the other, so that the code of a pair ends in the leaf of
    whichever of its genes is asked for first: a forest averages two effects, and cannot add them. With doubles in training
    it needs a leaf for each sum.

    Source: perturbedvae.md section 10, Table 2 (random forest); settings are those of scikit-learn (our choice).
    """

    trees = 100

    def _regress(self, x: np.ndarray, y: np.ndarray):
        from sklearn.ensemble import RandomForestRegressor  # slow to import

        return RandomForestRegressor(self.trees, random_state=0).fit(x, y)
