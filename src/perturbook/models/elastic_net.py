"""`elastic_net`: an effect per perturbed gene, shrunken, and their sum."""

import numpy as np

from perturbook.data.gene_labels import genes_of
from perturbook.data.schema import condition_keys
from perturbook.models.code_effects import OfCodes
from perturbook.models.protocol import Training, model

PENALTIES = (0.0, *np.logspace(-4, 0, 9))
"""Shares of the least penalty that leaves no effect at all."""
L1_RATIO = 0.5


@model("elastic_net", title="Elastic net on codes", role="opponent")
class ElasticNet(OfCodes):
    """yhat = mu0 + W u, W = argmin |Y - U W|^2 / 2n + a r |W|_21 + a (1 - r) |W|^2 / 2, r = 0.5.

    Y `(conditions, genes)` are training effects and U their codes; |W|_21 sums the norms of the rows, so that a perturbed
    gene has an effect on all genes or on none. Without an intercept, because control is the code of zeros and its effect is
    zero. All that it can do on a two-hot code is add: from singles it is the additive floor with shrunken effects, and
    without a penalty that floor itself.

    The penalty is chosen by cells: an effect fitted to every other cell of each condition must be that of the cells between.

    Source: perturbedvae.md section 10, Table 2 (elastic net); how the penalty is chosen is our choice.
    """

    def __init__(self, penalty: float | None = None):
        """Args: `penalty`, share of the least penalty that leaves no effect at all; None chooses it among `PENALTIES`."""
        self.penalty = penalty

    def fit(self, train: Training) -> "ElasticNet":
        """Choose the penalty, and fit to all cells."""
        self.share = _chosen(train) if self.penalty is None else self.penalty
        return super().fit(train)

    def _regress(self, x: np.ndarray, y: np.ndarray):
        from sklearn.linear_model import LinearRegression, MultiTaskElasticNet  # slow to import

        most = np.linalg.norm(x.T @ y, axis=1).max() / (len(x) * L1_RATIO)
        if self.share * most == 0:
            return LinearRegression(fit_intercept=False).fit(x, y)
        return MultiTaskElasticNet(alpha=self.share * most, l1_ratio=L1_RATIO, fit_intercept=False).fit(x, y)


def _chosen(train: Training) -> float:
    """The penalty of least squared error in the other half of the cells; none where a context has no second control cell."""
    halves = _halves(train)
    if any(len(half.controls) < len(train.controls) for half in halves):
        return PENALTIES[0]
    error = np.zeros(len(PENALTIES))
    for known, other in (halves, halves[::-1]):
        for i, penalty in enumerate(PENALTIES):
            fitted = ElasticNet(penalty).fit(known)
            for (context, name, dose), effect in zip(
                other.effects.index, other.effects.to_numpy(), strict=True
            ):
                shift = fitted._shift(context, genes_of(name), dose)
                error[i] += 0 if shift is None else np.sum((shift - effect) ** 2)
    return PENALTIES[int(error.argmin())]


def _halves(train: Training) -> list[Training]:
    """Every other cell of each condition in the order of names, and the cells between."""
    cells = train.cells[np.argsort(train.cells.obs_names.to_numpy(str))]
    second = cells.obs.groupby(condition_keys(cells.obs)).cumcount().to_numpy() % 2 == 1
    return [Training(cells[half].copy()) for half in (~second, second)]
