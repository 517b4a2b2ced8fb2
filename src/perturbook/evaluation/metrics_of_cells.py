"""Registered metrics of cells: spread and distribution, which a predictor of means cannot fake."""

import numpy as np

from perturbook.evaluation import cell_profile
from perturbook.evaluation.metric import metric
from perturbook.evaluation.view import View


@metric(
    "rel_rmse_cell",
    title="Relative RMSE of cells",
    formula=r"\sqrt{(\lVert\hat y-y\rVert^2+\mathrm{tr}\,\hat\Sigma+\mathrm{tr}\,\Sigma)/(\lVert y\rVert^2+\mathrm{tr}\,\Sigma)}",
    better="down",
    best=None,
    trap="Rewards collapse: the perfect sampler scores 1.41 times the perfect mean. Read beside the variance ratio.",
    undefined="fewer than two measured cells",
)
def rel_rmse_cell(v: View) -> np.ndarray:
    """Error over all pairs of a measured and a generated cell, `(conditions,)`. Source: metrics.md section 3.2."""
    n = v.obs["n_cells"].to_numpy(float)
    return cell_profile.rel_rmse_cell(v.y, v.truth.variance, n, v.yhat, v.variance, v.n_predicted)


@metric(
    "var_ratio",
    title="Variance ratio",
    formula=r"\mathrm{tr}\,\hat\Sigma/\mathrm{tr}\,\Sigma",
    better="to 1",
    best=1.0,
    trap="Copied control cells get about 1 for free; 0 is a predictor of means.",
    undefined="fewer than two measured cells",
    needs_cells=True,
    first_halving=True,
)
def var_ratio(v: View) -> np.ndarray:
    """Generated over measured cell-to-cell variance, `(conditions,)`. Source: metrics.md section 5.3."""
    return v.spread


@metric(
    "var_ratio_gene_median",
    title="Variance ratio, median gene",
    formula=r"\mathrm{median}_g\,\hat\Sigma_{gg}/\Sigma_{gg}",
    better="to 1",
    best=1.0,
    trap="Says what is typical of a gene; the few noisy genes that carry most of the variance may do otherwise.",
    undefined="fewer than two measured cells",
    needs_cells=True,
    first_halving=True,
)
def var_ratio_gene_median(v: View) -> np.ndarray:
    """Median over genes of generated over measured variance, `(conditions,)`. Source: metrics.md section 5.3."""
    return cell_profile.var_ratio_gene_median(v.truth.variance, v.variance)


@metric(
    "edist_u",
    title="Energy distance (unbiased, log1p units)",
    formula=r"2\,\overline{|x-\hat x|}-\overline{|x-x'|}-\overline{|\hat x-\hat x'|}",
    better="down",
    best=0.0,
    trap="May be negative, and is not clipped; a predictor of means is charged for having no spread.",
    undefined="fewer than two measured cells",
)
def energy_distance(v: View) -> np.ndarray:
    """Energy distance in the 50 principal components of the truth, Euclidean, `(conditions,)`. Source: metrics.md 5.1."""
    return v.two_samples[:, 0]


@metric(
    "mmd2_u",
    title="Squared MMD (unbiased)",
    formula=r"\overline{k(x,x')}+\overline{k(\hat x,\hat x')}-2\,\overline{k(x,\hat x)}",
    better="down",
    best=0.0,
    trap="Its size belongs to its kernels, here of 0.5, 1 and 2 median distances of true cells; others never compare.",
    undefined="fewer than two measured cells",
)
def mmd2(v: View) -> np.ndarray:
    """Squared maximum mean discrepancy in the space of `edist_u`, `(conditions,)`. Source: metrics.md section 5.2."""
    return v.two_samples[:, 1]
