"""The same numbers as cell-eval 0.8.2 wherever the definitions agree; where they do not, the option that differs.

cell-eval takes effects of predictions from the control cells that stand beside them, so here both sides hold the same
controls unless a test says otherwise. It ranks genes by the fold change of geometric means (pdex), in float32.
"""

import numpy as np
import pytest
from scipy.stats import spearmanr
from small_predictions import CONTROL, GENES, NAMES, adata_of, cells, means, needed

from perturbook.evaluation import de_agreement as de
from perturbook.evaluation import mean_profile as mp
from perturbook.evaluation.ranksum import Ranked, benjamini_hochberg, p_values
from perturbook.evaluation.retrieval import pds

pytestmark = pytest.mark.filterwarnings("ignore:the string cache")  # its use of polars
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


SETS = [ours_de(part)[1] < 0.05 for part in (MEASURED, GENERATED)]
FOLDS = [fold(part) for part in (MEASURED, GENERATED)]
SIDES = FOLDS[0], SETS[0], FOLDS[1], SETS[1]  # as `overlap` and `sign_agreement` take them
CHANGES = Y - MU0, SETS[0], YHAT - MU0, SETS[1]  # the same with our fold change


def test_mse_is_the_square_of_our_rmse(theirs):
    agree(mp.rmse_mean(Y, YHAT) ** 2, theirs["mse"])
    agree(mp.rmse_mean(Y - MU0, YHAT - MU0) ** 2, theirs["mse_delta"])


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


def test_this_fixture_has_genes_that_differ_and_genes_that_do_not():
    for one in SETS:
        assert ((5 < one.sum(axis=1)) & (one.sum(axis=1) < 55)).all()


@pytest.mark.parametrize("norm", ["l1", "l2", "cosine"])
def test_discrimination_score_is_pds_without_the_perturbed_gene(theirs, norm):
    targets = np.array([[GENES.index(name)] for name in NAMES])
    ours = pds(Y - MU0, YHAT - MU0, np.zeros(5), norm=norm, without=targets)
    agree(ours, theirs[f"discrimination_score_{norm}"])


def test_counts_and_recall_of_significant_genes(theirs):
    agree(SETS[0].sum(axis=1), theirs["de_nsig_counts_real"])
    agree(SETS[1].sum(axis=1), theirs["de_nsig_counts_pred"])
    agree(de.recall(*SETS), theirs["de_sig_genes_recall"])


def test_overlap_at_n_given_their_fold_change(theirs):
    agree(de.overlap(*SIDES, None), theirs["overlap_at_N"])


def test_our_fold_change_is_a_difference_of_mean_logs_and_ranks_other_genes_first(theirs):
    strongest, theirs_first = (de.strongest(change, SETS[0], 5) for change in (CHANGES[0], FOLDS[0]))
    assert (strongest != theirs_first).any()


def test_overlap_at_50_takes_fewer_genes_where_fewer_differ_and_ours_is_undefined_there(theirs):
    few = SETS[0].sum(axis=1) < 50
    agree(de.overlap(*SIDES, None)[few], theirs["overlap_at_50"][few])
    assert few.any() and np.isnan(de.overlap(*CHANGES, 50)[few]).all()


def test_precision_at_n_cuts_the_true_genes_to_as_many_as_are_predicted_where_ours_keeps_them_all(theirs):
    swapped = (*SIDES[2:], *SIDES[:2])
    agree(de.overlap(*swapped, None), theirs["precision_at_N"])
    cut = SETS[0].sum(axis=1) > SETS[1].sum(axis=1)
    agree(de.precision(*SETS)[~cut], theirs["precision_at_N"][~cut])
    assert (de.precision(*SETS) >= theirs["precision_at_N"] - 1e-9).all()


def test_direction_match_asks_all_true_genes_where_ours_asks_those_found_on_both_sides(theirs):
    agree(de.sign_agreement(*SIDES[:3], np.ones_like(SETS[1])), theirs["de_direction_match"])
    agree(
        de.sign_agreement(*CHANGES), de.sign_agreement(*SIDES)
    )  # the sign is the same under both fold changes


def test_spearman_of_fold_changes_over_the_true_genes(theirs):
    ours = [spearmanr(a[s], b[s]).statistic for a, b, s in zip(*FOLDS, SETS[0], strict=True)]
    agree(ours, theirs["de_spearman_lfc_sig"], 1e-5)  # ranks of float32
