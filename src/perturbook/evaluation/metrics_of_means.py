"""Registered metrics of mean profiles."""

import numpy as np

from perturbook.evaluation import mean_profile as mp
from perturbook.evaluation.metric import View, metric
from perturbook.evaluation.retrieval import nir

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
    "r2_mean_deg50",
    title="R² of means, top 50 DE genes",
    formula=r"R^2 \text{ over the 50 genes of largest } |t|",
    better="up",
    best=1.0,
    trap="The denominator is the spread of 50 numbers; values below -1 are ordinary.",
    undefined="fewer than 50 genes, or fewer than two cells to rank them",
    de_source="split_half",
)
def r2_mean_deg50(v: View) -> np.ndarray:
    """R2 over the top 50 genes chosen on half A, scored on half B, `(conditions,)`. Source: metrics.md section 3.6."""
    genes = v.deg(50, "split_half")
    return mp.r2_mean(mp.take(v.y_half, genes), mp.take(v.yhat, genes))


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
    "pearson_delta_ctrl_deg20",
    title="Pearson of change, top 20 DE genes",
    formula=r"\mathrm{corr}_g \text{ over the 20 genes of largest } |t|",
    better="up",
    best=1.0,
    trap="Genes chosen on the scored cells would have inflated effects; these are chosen on the other half.",
    undefined="the effect is constant over the 20 genes, or fewer than two cells rank them",
    reference="control, truth and prediction from different halves",
    splits_controls=True,
    de_source="split_half",
)
def pearson_delta_ctrl_deg20(v: View) -> np.ndarray:
    """`pearson_delta_ctrl` over the top 20 genes of half A, truth on half B, `(conditions,)`. Source: metrics.md 3.6."""
    genes = v.deg(20, "split_half")
    truth, hat = mp.take(v.y_half - v.mu0_kept, genes), mp.take(v.yhat_split - v.mu0_shown, genes)
    return mp.pearson_delta(truth, hat, mp.constant_guard(v.mu0))


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


@metric(
    "nir",
    title="Retrieval (NIR)",
    formula=r"\#\{j\ne i:\lVert\hat y_i-y_j\rVert>\lVert\hat y_i-y_i\rVert\}/(N-1)",
    better="up",
    best=1.0,
    trap="0.5 for any predictor that gives every condition of a group the same profile.",
    undefined="no other condition of the same context and dose is tested",
)
def nir_of_group(v: View) -> np.ndarray:
    """Share of other truths of the context and dose farther than the own one, `(conditions,)`. Source: metrics.md 4."""
    return nir(v.y, v.yhat, v.groups)
