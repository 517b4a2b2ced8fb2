"""Registered metrics that weigh genes by how far the condition stands out from the rest of its context."""

import numpy as np

from perturbook.evaluation import weighted
from perturbook.evaluation.metric import metric
from perturbook.evaluation.view import View

_NO_REST = "the context has no other treated cells, or the condition fewer than two cells"


def _k(v: View) -> np.ndarray:
    return weighted.effective_number(v.truth.weights)


@metric(
    "wmse",
    title="Weighted MSE of means",
    formula=r"\sum_g w_g(\hat y_g-y_g)^2/\sum_g w_g",
    better="down",
    best=0.0,
    trap="Squared weights let a handful of genes carry the sum: read it beside the effective number of genes.",
    undefined=_NO_REST,
    k=_k,
)
def wmse(v: View) -> np.ndarray:
    """Mean square error weighted by |t| against the rest, `(conditions,)`. Source: metrics.md section 3.7."""
    return weighted.wmse(v.y, v.yhat, v.truth.weights)


@metric(
    "r2w_delta",
    title="Weighted R² of change",
    formula=r"1-\sum_g w_g(\Delta_g-\hat\Delta_g)^2/\sum_g w_g(\Delta_g-\bar\Delta_w)^2",
    better="up",
    best=1.0,
    trap="The rest it weighs against is not control: genes that all perturbations move weigh nothing.",
    undefined=_NO_REST,
    reference="mean of the training perturbation centroids",
    k=_k,
)
def r2w_delta(v: View) -> np.ndarray:
    """Weighted R2 of the change from the training centroid, `(conditions,)`. Source: metrics.md section 3.7."""
    return weighted.r2w_delta(v.y - v.centroid, v.yhat - v.centroid, v.truth.weights)
