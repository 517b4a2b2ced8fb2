"""`Boosted`: what pairs do beyond their sum, from the anchors of each gene by gradient-boosted trees."""

from collections.abc import Callable

import numpy as np

from perturbook.models.perturbed_vae.beyond_additive import BeyondAdditive


class Boosted(BeyondAdditive):
    """The residual is a sum of a hundred trees over the anchors of `anchors.py`, all genes of all doubles being rows.

    Settings are those of scikit-learn, but that no row is set aside to stop early: rows of one double are alike.
    """

    def _regress(self, x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        from sklearn.ensemble import HistGradientBoostingRegressor  # slow to import

        return HistGradientBoostingRegressor(early_stopping=False, random_state=0).fit(x, y).predict
