"""The same numbers as scperteval 0.2.0 wherever the definitions agree; where they do not, the option that differs.

scperteval centres on the controls, or on the mean of the other perturbations, and weighs genes by a Welch t of a
condition against the cells of all others. Its names stand in the tests.
"""

import numpy as np
import pytest
from small_predictions import CONTROL, NAMES, adata_of, cells, means, needed

from perturbook.evaluation import mean_profile as mp
from perturbook.evaluation import weighted
from perturbook.evaluation.ceiling import scaled
from perturbook.evaluation.differential import welch_p, welch_t
from perturbook.evaluation.distribution import LENGTHS, edist_u, median_distance, mmd2_u
from perturbook.evaluation.duplicate import interpolated
from perturbook.evaluation.ranksum import benjamini_hochberg
from perturbook.evaluation.retrieval import nir, rank_pred

pytestmark = pytest.mark.filterwarnings("ignore:Excluding")  # a fifth of the cells is meant to be left out
scperteval = needed("scperteval")
CONTROLS, MEASURED, GENERATED = cells()
Y, YHAT, MU0 = means(MEASURED), means(GENERATED), CONTROLS.mean(axis=0)
OTHERS = (Y.sum(axis=0) - Y) / (len(Y) - 1)  # mean of the other perturbations, each weighing the same
ONE_GROUP = np.zeros(len(Y))


@pytest.fixture(scope="module")
def prepared():
    return scperteval.prepare(adata_of(MEASURED, CONTROLS), [], workers=1, control_label=CONTROL)


@pytest.fixture
def theirs(prepared):
    """`theirs(protocol)`: values of a protocol in the order of NAMES."""

    def values(protocol):
        table = scperteval.score(prepared, protocol, adata_of(GENERATED, CONTROLS)).per_perturbation
        return table.set_index("perturbation").loc[NAMES, "score"].to_numpy(float)

    return values


def agree(ours, theirs):
    np.testing.assert_allclose(ours, theirs, atol=1e-6, rtol=1e-6)


def highest(k):
    return np.argsort(-MU0, kind="stable")[:k]


def moments(cells):
    """Mean, variance and count of each condition, in the order of NAMES."""
    parts = [cells[name] for name in NAMES]
    return means(cells), np.stack([x.var(axis=0, ddof=1) for x in parts]), np.array([len(x) for x in parts])


def rest():
    """Moments of the cells of all other conditions, controls left out."""
    mean, variance, n = moments(MEASURED)
    nobody = np.zeros(1), np.full((1, 60), np.nan), np.full((1, 60), np.nan)
    n, mean, variance = weighted.rest_moments(n, mean, variance, np.zeros(5, int), nobody)
    return mean, variance, n


def weights():
    return weighted.effect_weights(welch_t(*moments(MEASURED), *rest()))


def test_mse(theirs):
    agree(mp.rmse_mean(Y, YHAT) ** 2, theirs("mse"))


def test_pearson_ctrl_is_pearson_delta_with_shared_controls(theirs):
    agree(mp.pearson_delta(Y - MU0, YHAT - MU0, 0), theirs("pearson_ctrl"))


def test_pearson_ctrl_heg_k(theirs):
    s = highest(20)
    agree(mp.pearson_delta((Y - MU0)[:, s], (YHAT - MU0)[:, s], 0), theirs("pearson_ctrl_heg_k=20"))


def test_l2_heg_k(theirs):
    s = highest(20)
    agree(mp.l2(Y[:, s], YHAT[:, s]), theirs("l2_heg_k=20"))


def test_wmse_exp2(theirs):
    agree(weighted.wmse(Y, YHAT, weights()), theirs("wmse_exp2"))


def test_weighted_r2_pert_exp2_with_the_mean_of_the_others_as_centroid(theirs):
    agree(weighted.r2w_delta(Y - OTHERS, YHAT - OTHERS, weights()), theirs("weighted_r2_pert_exp2"))


def test_pearson_pert_centres_on_the_other_tested_perturbations_where_we_take_the_training_centroid(theirs):
    agree(mp.pearson_delta(Y - OTHERS, YHAT - OTHERS, 0), theirs("pearson_pert"))
    shared = Y.mean(axis=0)  # one centroid for all, as a training centroid is
    ours = mp.pearson_delta(Y - shared, YHAT - shared, 0)
    assert np.abs(ours - theirs("pearson_pert")).max() > 0.01


def test_r2_is_ours_on_effects(theirs):
    agree(mp.r2_mean(Y - MU0, YHAT - MU0), theirs("r2_ctrl"))


def test_nir_and_rank(theirs):
    agree(nir(Y, YHAT, ONE_GROUP), theirs("nir"))
    agree(rank_pred(Y, YHAT, ONE_GROUP), theirs("rank"))


def test_ties_are_broken_by_noise_there_and_count_against_the_prediction_here(prepared):
    constant = {name: CONTROLS[:40] for name in NAMES}
    table = scperteval.score(prepared, "nir", adata_of(constant, CONTROLS)).per_perturbation
    assert nir(Y, means(constant), ONE_GROUP).mean() == pytest.approx(table["score"].mean()) == 0.5
    rank = scperteval.score(prepared, "rank", adata_of(constant, CONTROLS)).per_perturbation["score"]
    assert rank_pred(Y, means(constant), ONE_GROUP).tolist() == [1] * 5
    assert rank.mean() < 1  # predictions that are all alike look better than the worst


@pytest.fixture(scope="module")
def coordinates():
    """(measured, generated) per condition in the ten leading components of their basis."""
    from sklearn.decomposition import PCA

    basis = PCA(50, random_state=42).fit(adata_of(MEASURED, CONTROLS).X)
    return [tuple(basis.transform(part[name])[:, :10] for part in (MEASURED, GENERATED)) for name in NAMES]


def test_energy_distance_pca_k(theirs, coordinates):
    agree([edist_u(*pair) for pair in coordinates], theirs("energy_distance_pca_k=10"))


def test_energy_distance_in_all_genes(theirs):
    agree([edist_u(MEASURED[name], GENERATED[name]) for name in NAMES], theirs("energy_distance_top_k=60"))


def test_unbiased_mmd_median_has_one_kernel_of_the_pooled_median_where_ours_has_three_of_the_truth(
    theirs, coordinates
):
    pooled = [mmd2_u(*pair, (median_distance(np.concatenate(pair)),)) for pair in coordinates]
    agree(pooled, theirs("unbiased_mmd_median_pca_k=10"))
    ours = [mmd2_u(x, y, tuple(length * median_distance(x) for length in LENGTHS)) for x, y in coordinates]
    assert np.abs(np.array(ours) - theirs("unbiased_mmd_median_pca_k=10")).max() > 0.01


def calibrated(prepared, protocol):
    table = scperteval.calibrate(prepared, protocol).per_perturbation.set_index("perturbation").loc[NAMES]
    return tuple(table[name].to_numpy(float) for name in ("raw_positive", "raw_negative", "drf"))


@pytest.mark.parametrize(
    ("protocol", "perfect"), [("mse", 0.0), ("pearson_ctrl", 1.0), ("energy_distance_pca_k=10", 0.0)]
)
def test_dynamic_range_fraction_but_for_their_clip_and_the_millionth_they_add_below(
    prepared, protocol, perfect
):
    value, negative, drf = calibrated(prepared, protocol)
    room = np.abs(perfect - negative)
    agree(np.clip(scaled(value, negative, perfect) * room / (room + 1e-6), -1, 1), drf)


def test_the_interpolated_duplicate_is_ours_with_all_other_cells_as_reference(prepared):
    rng, first, second = np.random.default_rng(42), {}, {}
    for name in sorted(NAMES):  # the halves that it draws
        rows = np.arange(40)
        rng.shuffle(rows)
        first[name], second[name] = MEASURED[name][np.sort(rows[:20])], MEASURED[name][np.sort(rows[20:])]
    q = benjamini_hochberg(welch_p(*moments(second), *rest()))
    duplicate = interpolated(means(second), q, OTHERS)
    agree(mp.rmse_mean(means(first), duplicate) ** 2, calibrated(prepared, "mse")[0])
