"""The same numbers as cell-eval 0.8.2 wherever the definitions agree; where they do not, the option that differs.

cell-eval takes effects of predictions from the control cells that stand beside them, so here both sides hold the same
controls unless a test says otherwise. It ranks genes by the fold change of geometric means (pdex), in float32.
"""

import numpy as np
import pytest
from small_predictions import CONTROL, NAMES, adata_of, cells, means, needed

from perturbook.evaluation import mean_profile as mp
from perturbook.evaluation.ranksum import Ranked, benjamini_hochberg, p_values

cell_eval = needed("cell_eval")
CONTROLS, MEASURED, GENERATED = cells()
Y, YHAT, MU0 = means(MEASURED), means(GENERATED), CONTROLS.mean(axis=0)


def evaluator(folder, generated=GENERATED, controls=CONTROLS):
    """cell-eval's evaluator of generated cells beside `controls`."""
    pair = adata_of(generated, controls), adata_of(MEASURED, CONTROLS)
    return cell_eval.MetricsEvaluator(
        *pair, control_pert=CONTROL, pert_col="perturbation", num_threads=1, outdir=str(folder)
    )


def table(made, **options):
    """Its scores, one row per condition in the order of NAMES."""
    frame = made.compute(write_csv=False, **options)[0].to_pandas().set_index("perturbation")
    return frame.loc[NAMES].astype(float)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return evaluator(tmp_path_factory.mktemp("cell-eval"))


@pytest.fixture(scope="module")
def theirs(made):
    return table(made, skip_metrics=["clustering_agreement"])  # needs igraph; not a metric of ours


def agree(ours, theirs, tolerance=1e-6):
    np.testing.assert_allclose(ours, theirs, atol=tolerance, rtol=tolerance)


def ours_de(part):
    """p and adjusted p per condition and gene, `(conditions, genes)` each."""
    p = np.stack([p_values(part[name], Ranked.of(CONTROLS)) for name in NAMES])
    return p, benjamini_hochberg(p)


def fold(part):
    """log2 fold change of geometric means, as pdex has it, `(conditions, genes)`."""
    return np.log2(np.expm1(means(part)) / np.expm1(MU0))


def test_mse_is_the_square_of_our_rmse(theirs):
    agree(mp.rmse_mean(Y, YHAT) ** 2, theirs["mse"])
    agree(mp.rmse_mean(Y - MU0, YHAT - MU0) ** 2, theirs["mse_delta"])


def test_mae(theirs):
    agree(np.abs(Y - YHAT).mean(axis=1), theirs["mae"])


def test_pearson_delta_is_ours_with_shared_controls(theirs):
    agree(mp.pearson_delta(Y - MU0, YHAT - MU0, 0), theirs["pearson_delta"])


def test_with_other_controls_beside_the_prediction_pearson_delta_is_ours_with_split_controls(tmp_path):
    other = CONTROLS[:40]
    theirs = table(
        evaluator(tmp_path, controls=other), profile="anndata", skip_metrics=["clustering_agreement"]
    )
    agree(mp.pearson_delta(Y - MU0, YHAT - other.mean(axis=0), 0), theirs["pearson_delta"])
    assert np.abs(mp.pearson_delta(Y - MU0, YHAT - MU0, 0) - theirs["pearson_delta"]).max() > 1e-3


@pytest.mark.parametrize(("side", "part"), [("real", MEASURED), ("pred", GENERATED)])
def test_rank_sum_and_benjamini_hochberg_equal_pdex(made, side, part):
    found = getattr(made.de_comparison, side).data.to_pandas().astype({"target": str, "feature": str})
    p, q = ours_de(part)
    for column, values in (("p_value", p), ("fdr", q), ("log2_fold_change", fold(part))):
        wide = found.pivot(index="target", columns="feature", values=column).loc[NAMES]
        agree(values, wide.to_numpy(float), 2e-6)  # kept in float32
