"""The same numbers as scperteval 0.2.0 wherever the definitions agree; where they do not, the option that differs.

scperteval centres on the controls, or on the mean of the other perturbations, and weighs genes by a Welch t of a
condition against the cells of all others. Its names stand in the tests.
"""

import numpy as np
import pytest
from small_predictions import CONTROL, NAMES, adata_of, cells, means, needed

from perturbook.evaluation import mean_profile as mp
from perturbook.evaluation.differential import welch_t
from perturbook.evaluation.distribution import edist_u
from perturbook.evaluation.retrieval import nir, rank_pred

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


def rest_t():
    """|t| of each condition against the cells of all others, controls left out, `(conditions, genes)`."""
    rows = []
    for name in NAMES:
        rest = np.concatenate([MEASURED[other] for other in NAMES if other != name])
        sides = [(x.mean(axis=0), x.var(axis=0, ddof=1), len(x)) for x in (MEASURED[name], rest)]
        (m, v, n), (m0, v0, n0) = sides
        rows.append(welch_t([m], [v], [n], m0, v0, n0)[0])
    return np.stack(rows)


def test_mse(theirs):
    agree(mp.rmse_mean(Y, YHAT) ** 2, theirs("mse"))


def test_pearson_ctrl_is_pearson_delta_with_shared_controls(theirs):
    agree(mp.pearson_delta(Y - MU0, YHAT - MU0, 0), theirs("pearson_ctrl"))


def test_pearson_ctrl_heg_k(theirs):
    s = highest(20)
    agree(mp.pearson_delta((Y - MU0)[:, s], (YHAT - MU0)[:, s], 0), theirs("pearson_ctrl_heg_k=20"))


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


def test_energy_distance_pca_k(theirs):
    from sklearn.decomposition import PCA

    basis = PCA(50, random_state=42).fit(adata_of(MEASURED, CONTROLS).X)
    ours = [
        edist_u(*(basis.transform(part[name])[:, :10] for part in (MEASURED, GENERATED))) for name in NAMES
    ]
    agree(ours, theirs("energy_distance_pca_k=10"))


def test_energy_distance_in_all_genes(theirs):
    agree([edist_u(MEASURED[name], GENERATED[name]) for name in NAMES], theirs("energy_distance_top_k=60"))
