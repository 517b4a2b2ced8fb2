"""`knn_codes`: a perturbation does what the perturbations with the most alike codes did."""

import numpy as np

from perturbook.models.code_effects import OfCodes
from perturbook.models.protocol import model


@model("knn_codes", title="Nearest codes", role="opponent")
class NearestCodes(OfCodes):
    """yhat = mu0 + mean effect of the `k` nearest training codes of the context, by the number of genes that differ.

    Codes are alike by the dozen, since all genes stand equally far from each other: what is left of the k beyond those that
    are nearer is shared by all that are as near as the last of them, so that no name decides. A code that training holds is
    nearest to itself, but k - 1 others count as much.

    Source: perturbedvae.md section 10, Table 2 (kNN); k = 5 and shared ties are our choice.
    """

    k = 5

    def _regress(self, x: np.ndarray, y: np.ndarray):
        from sklearn.neighbors import KNeighborsRegressor  # slow to import

        return KNeighborsRegressor(len(x), weights=self._shares, metric="manhattan", algorithm="brute").fit(
            x, y
        )

    def _shares(self, distance: np.ndarray) -> np.ndarray:
        """What each training code counts, of ascending distances `(asked, codes)`; rows sum to the number of neighbours."""
        k = min(self.k, distance.shape[1])
        last = distance[:, [k - 1]]
        nearer, tied = distance < last, distance == last
        left = k - nearer.sum(axis=1, keepdims=True)
        return nearer + tied * left / tied.sum(axis=1, keepdims=True)
