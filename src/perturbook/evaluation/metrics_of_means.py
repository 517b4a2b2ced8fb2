"""Registered metrics of mean profiles."""

import numpy as np

from perturbook.evaluation import mean_profile as mp
from perturbook.evaluation.metric import HEG, metric
from perturbook.evaluation.view import View

_CONSTANT = "the effect is constant over genes"


@metric(
    "r2_mean",
    title="R² of means",
    formula=r"1-\sum_g(y_g-\hat y_g)^2/\sum_g(y_g-\bar y)^2",
    better="up",
    best=1.0,
    trap="Genes differ in level far more than a perturbation moves them, so no change scores high.",
    undefined="the truth is constant over genes",
    of_mean=True,
)
def r2_mean(v: View) -> np.ndarray:
    """R2 over all genes, `(conditions,)`. Source: metrics.md section 3.1."""
    return mp.r2_mean(v.y, v.yhat)


@metric(
    "r2_mean_clipped",
    title="R² of means, negative values clipped",
    formula=r"\max(R^2,\,0)",
    better="up",
    best=1.0,
    trap="A disaster looks like a mild failure; only to compare with literature that clips.",
    undefined="the truth is constant over genes",
    of_mean=True,
)
def r2_mean_clipped(v: View) -> np.ndarray:
    """`r2_mean` with negative values replaced by 0, `(conditions,)`. Source: metrics.md section 3.1 (clipping)."""
    return mp.r2_mean_clipped(v.y, v.yhat)


@metric(
    "r2_mean_swapped_clipped",
    title="R² of means, truth and prediction swapped, clipped",
    formula=r"\max\bigl(1-\sum_g(y_g-\hat y_g)^2/\sum_g(\hat y_g-\bar{\hat y})^2,\,0\bigr)",
    better="up",
    best=1.0,
    trap="Divides by the spread of the prediction; only to compare with the lineage that passes its arguments so.",
    undefined="the prediction is constant over genes",
    of_mean=True,
)
def r2_mean_swapped_clipped(v: View) -> np.ndarray:
    """R2 of the truth about the prediction, clipped, `(conditions,)`. Source: metrics.md section 3.1 (argument order)."""
    return mp.r2_mean_swapped_clipped(v.y, v.yhat)


@metric(
    "rmse_mean",
    title="RMSE of means",
    formula=r"\sqrt{\mathrm{mean}_g(\hat y_g-y_g)^2}",
    better="down",
    best=0.0,
    trap="In log1p units, and small wherever most genes stay silent.",
    undefined="no value is missing but where the prediction is",
    of_mean=True,
)
def rmse_mean(v: View) -> np.ndarray:
    """Root mean square error over all genes, `(conditions,)`. Source: metrics.md section 3.2."""
    return mp.rmse_mean(v.y, v.yhat)


@metric(
    "l2_heg1000",
    title="L2 over the 1,000 genes highest in control",
    formula=r"\lVert\hat y_S-y_S\rVert,\;S=\text{genes of largest }\mu_0",
    better="down",
    best=0.0,
    trap="Grows with the square root of the number of genes, so that smaller panels have a key of their own.",
    undefined="no value is missing but where the prediction is",
    k=lambda v: HEG,
    of_mean=True,
)
def l2_heg(v: View, k: int = HEG) -> np.ndarray:
    """Distance over the `k` genes highest in control, `(conditions,)`. Source: metrics.md section 3.3."""
    genes = v.heg(k)
    return mp.l2(mp.take(v.y, genes), mp.take(v.yhat, genes))


@metric(
    "pearson_delta_ctrl",
    title="Pearson of change from control",
    formula=r"\mathrm{corr}_g(\hat y-\mu_0^{A},\;y-\mu_0^{B})",
    better="up",
    best=1.0,
    trap="Blind to the size of the change, and most perturbations share a response: read beside the centroid form.",
    undefined=_CONSTANT,
    reference="control, truth and prediction from different halves",
    splits_controls=True,
    of_mean=True,
)
def pearson_delta_ctrl(v: View) -> np.ndarray:
    """Correlation of effects with split controls, `(conditions,)`. Source: metrics.md section 3.4."""
    return mp.pearson_delta(v.y - v.mu0_kept, v.yhat_split - v.mu0_shown, mp.constant_guard(v.mu0))


@metric(
    "pearson_delta_ctrl_heg1000",
    title="Pearson of change, 1,000 genes highest in control",
    formula=r"\mathrm{corr}_{g\in S}(\hat y-\mu_0^{A},\;y-\mu_0^{B})",
    better="up",
    best=1.0,
    trap="Leaves out genes that are silent in control, and with them what a perturbation switches on.",
    undefined=_CONSTANT,
    reference="control, truth and prediction from different halves",
    splits_controls=True,
    k=lambda v: HEG,
    of_mean=True,
)
def pearson_delta_ctrl_heg(v: View, k: int = HEG) -> np.ndarray:
    """`pearson_delta_ctrl` over the `k` genes highest in control, `(conditions,)`. Source: metrics.md section 3.4."""
    genes = v.heg(k)
    truth, hat = mp.take(v.y - v.mu0_kept, genes), mp.take(v.yhat_split - v.mu0_shown, genes)
    return mp.pearson_delta(truth, hat, mp.constant_guard(v.mu0))


@metric(
    "pearson_delta_ctrl_shared",
    title="Pearson of change from control, shared controls",
    formula=r"\mathrm{corr}_g(\hat y-\mu_0,\;y-\mu_0)",
    better="up",
    best=1.0,
    trap="Truth and prediction share the noise of the controls, which correlates them even where nothing changed.",
    undefined=_CONSTANT,
    reference="control, the same cells on both sides",
    of_mean=True,
)
def pearson_delta_ctrl_shared(v: View) -> np.ndarray:
    """Correlation of effects as most papers report it, `(conditions,)`. Source: metrics.md section 3.4."""
    return mp.pearson_delta(v.y - v.mu0, v.yhat - v.mu0, mp.constant_guard(v.mu0))


@metric(
    "pearson_delta_centroid",
    title="Pearson of change from the training centroid",
    formula=r"\mathrm{corr}_g(\hat y-\bar r,\;y-\bar r)",
    better="up",
    best=1.0,
    trap="In a new context it also rewards knowing the context: the centroid comes from other contexts.",
    undefined=_CONSTANT,
    reference="mean of the training perturbation centroids",
    of_mean=True,
)
def pearson_delta_centroid(v: View) -> np.ndarray:
    """Correlation of what is specific to the perturbation, `(conditions,)`. Source: metrics.md section 3.5."""
    return mp.pearson_delta(v.y - v.centroid, v.yhat - v.centroid, mp.constant_guard(v.mu0))


@metric(
    "rel_rmse_mean",
    title="Relative RMSE of means",
    formula=r"\sqrt{\mathrm{mean}_g(\hat y_g-y_g)^2/\mathrm{mean}_g\,y_g^2}",
    better="down",
    best=0.0,
    trap="Divides by the level of expression, not by the size of the effect.",
    undefined="the truth is zero in every gene",
    of_mean=True,
)
def rel_rmse_mean(v: View) -> np.ndarray:
    """Relative error of the mean, `(conditions,)`. Source: metrics.md section 3.2."""
    return mp.rel_rmse_mean(v.y, v.yhat)
