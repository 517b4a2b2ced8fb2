"""The split-half duplicate is scored as a model is: it must not be given what no model could have."""

from dataclasses import replace

import hand_made
import numpy as np
import pytest
from hand_made_bundle import CONTROL, MEAN, of_cells, truth

from perturbook.evaluation import METRICS, build_truth
from perturbook.evaluation.duplicate import (
    duplicate_scores,
    half_view,
    interpolated,
    interpolated_scores,
    whole_view,
    within_error,
)
from perturbook.evaluation.measure import measure
from perturbook.evaluation.view import view
from perturbook.splits import split


def one_context(n, n0, effect=0.0, seed=0, drugs=6, genes=300):
    """Truth of `drugs` tested conditions of `n` cells in context a with `n0` controls; normal cells of unit variance."""
    rng = np.random.default_rng(seed)
    rows = hand_made.grid(["a"], [f"d{i}" for i in range(drugs)], doses=(1.0,), n=n, controls=n0)
    rows += hand_made.grid(["b", "c"], ["d0"], doses=(1.0,), n=2, controls=2)
    cells = hand_made.cells(rows, rng.normal(3, 1, size=(len(rows), genes)))
    cells.obs_names = [f"cell{i:05d}" for i in range(len(rows))]
    shifts = effect * rng.normal(size=(drugs, genes))
    dense = cells.layers["lognorm"].toarray()
    for i in range(drugs):
        dense[(cells.obs["perturbation"] == f"d{i}").to_numpy()] += shifts[i]
    cells.layers["lognorm"] = dense
    return measure(cells, [split(cells, "zero_shot_context", held_out="a")], seed=seed, facts={})


@pytest.fixture(scope="module")
def null():
    return one_context(40, 40)


@pytest.fixture(scope="module")
def strong():
    return one_context(21, 33, effect=1.0)


@pytest.mark.parametrize("number", [0, 1, 19])
def test_halves_of_treated_cells_and_of_controls_recombine_to_their_means(strong, number):
    v = half_view(whole_view(strong), number)
    n_a, n0_a = 10, 17 if number == 0 else 16  # halving 0 of the controls is the split's: 17 shown, 16 kept
    np.testing.assert_allclose(n_a / 21 * v.yhat + (21 - n_a) / 21 * v.y, strong.mean)
    np.testing.assert_allclose(n0_a / 33 * v.mu0_shown + (33 - n0_a) / 33 * v.mu0_kept, v.mu0)


def test_halving_zero_uses_the_shown_and_the_kept_controls(strong):
    v = half_view(whole_view(strong), 0)
    np.testing.assert_allclose(v.mu0_shown[0], strong.controls["mean_a"][0])
    np.testing.assert_allclose(v.mu0_kept[0], strong.controls["mean_b"][0])


def test_by_hand_a_half_that_equals_the_mean_is_perfect_and_each_cell_predicts_the_other():
    scores = duplicate_scores(truth(), ["r2_mean", "rel_rmse_mean", "edist_u", "var_ratio"])
    np.testing.assert_allclose(scores["r2_mean"], 1)
    np.testing.assert_allclose(scores["rel_rmse_mean"], 0)
    assert np.isnan(scores["edist_u"]).all()  # one cell on each side has no spread
    np.testing.assert_allclose(scores["var_ratio"], 1)


def test_by_hand_the_duplicate_is_the_mean_over_halvings():
    halves = np.zeros((3, 20, 3))
    halves[0, 5] = [1, 0, 0]  # n = 6: A = (3, 2, 5), B = (1, 2, 5); all other halvings agree
    made = replace(truth((6, 6, 6)), halves=halves)
    r2 = 1 - 4 / np.var([1, 2, 5]) / 3
    np.testing.assert_allclose(duplicate_scores(made, ["r2_mean"])["r2_mean"], [(19 + r2) / 20, 1, 1])


def test_a_halving_in_which_the_score_is_undefined_is_left_out_of_the_mean():
    halves = np.zeros((3, 20, 3))
    halves[0, 1:] = np.nan
    made = replace(truth(), halves=halves)
    assert duplicate_scores(made, ["r2_mean"])["r2_mean"][0] == 1.0


def test_without_any_effect_no_duplicate_correlates(null):
    """Gene lists were chosen on half A: a duplicate that saw them on both sides scored 0.6 here."""
    scores = duplicate_scores(null, ["pearson_delta_ctrl", "pearson_delta_ctrl_deg20"])
    assert abs(scores["pearson_delta_ctrl"].mean()) < 0.03
    assert abs(scores["pearson_delta_ctrl_deg20"].mean()) < 0.25


def test_without_any_effect_shared_controls_correlate_the_halves_as_the_cell_counts_say(null):
    found = duplicate_scores(null, ["pearson_delta_ctrl_shared"])["pearson_delta_ctrl_shared"]
    # halves of 20 cells share the mean of 40 controls, n / (n + n0) = 1/3, less what two halves of one mean
    # miss of their own: 20 halvings of the same cells, never replicates, so that no correction applies
    assert abs(found.mean() - 1 / 3) < 0.03


def test_with_a_strong_effect_the_duplicate_is_near_what_noise_allows(strong):
    scores = duplicate_scores(strong, ["pearson_delta_ctrl", "pearson_delta_ctrl_deg20"])
    a, b = (
        1 + 1 / 10 + 1 / 17,
        1 + 1 / 11 + 1 / 16,
    )  # variance of effect plus noise of each half and its controls
    assert abs(scores["pearson_delta_ctrl"].mean() - 1 / np.sqrt(a * b)) < 0.02
    assert scores["pearson_delta_ctrl_deg20"].min() > 0.9


@pytest.mark.parametrize("key", METRICS)
def test_the_duplicate_of_a_condition_does_not_depend_on_the_order_of_conditions(key, strong):
    back = np.arange(6)[::-1]
    names = ("mean", "variance", "halves", "coordinates", "q")
    arrays = {name: getattr(strong, name)[back] for name in names}
    arrays |= {
        name: {k: v[back] for k, v in getattr(strong, name).items()} for name in ("deg", "significant")
    }
    other = replace(strong, obs=strong.obs.iloc[back], **arrays)
    for scores in (duplicate_scores, interpolated_scores):
        found, again = (scores(one, [key])[key] for one in (strong, other))
        np.testing.assert_allclose(again, found[back], rtol=1e-9)


def test_by_hand_an_uncertain_gene_is_drawn_to_the_centroid():
    """metrics.md acceptance 12."""
    found = interpolated(np.full((1, 3), 4.0), np.array([[0, 0.25, 1]]), np.zeros((1, 3)))
    np.testing.assert_array_equal(found, [[4, 3, 0]])


def test_by_hand_the_interpolated_duplicate_predicts_half_b_by_half_a_and_the_centroid():
    scores = interpolated_scores(truth(), ["rmse_mean", "var_ratio", "de_sig_recall"])
    # halves equal the mean and q is (0, 0.25, 1): (2, 1.75, 1) for (2, 2, 5), and so on; the centroid is 1
    np.testing.assert_allclose(scores["rmse_mean"] ** 2 * 3, [0.0625 + 16, 1, 25])
    assert np.isnan(scores["var_ratio"]).all() and np.isnan(scores["de_sig_recall"]).all()


def test_the_interpolated_duplicate_never_sees_the_scored_half(strong):
    before = half_view(whole_view(strong), 0)
    moved = replace(strong, mean=strong.mean + 1, halves=strong.halves - 1)  # half A stays, half B does not
    after = half_view(whole_view(moved), 0)
    np.testing.assert_allclose(before.yhat, after.yhat)
    assert (np.abs(before.y - after.y) > 1).all()


def test_shrinking_noise_helps_where_little_changed_and_costs_little_where_much_did(null, strong):
    errors = {
        name: [
            scores(replace(one, centroid=np.full((1, 300), 3.0)), ["rmse_mean"])["rmse_mean"].mean()
            for one in (null, strong)
        ]
        for name, scores in (("half", duplicate_scores), ("interpolated", interpolated_scores))
    }
    assert errors["interpolated"][0] < 0.9 * errors["half"][0]
    assert errors["interpolated"][1] < 1.3 * errors["half"][1]


def test_gene_sets_of_two_halves_agree_where_much_changed_and_are_empty_where_nothing_did(null, strong):
    keys = ["de_sig_recall", "de_sig_precision", "de_sign_agreement", "de_overlap_at_n"]
    scores = duplicate_scores(strong, keys)
    assert min(scores[key].min() for key in keys[:3]) > 0.6 and scores["de_overlap_at_n"].min() > 0.6
    assert (np.stack(list(duplicate_scores(null, keys[:1]).values())) > 0).sum() == 0


def test_the_within_condition_error_is_the_spread_over_new_cells_of_the_condition():
    """60 draws of one condition: the spread of their scores against the error that each draw tells of itself."""
    told, values = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = hand_made.grid(["a", "b", "c"], ["x"], doses=(1.0,), n=24, controls=8)
        level = np.random.default_rng(0).uniform(0, 3, 40)
        cells = hand_made.cells(rows, np.maximum(level + rng.normal(size=(len(rows), 40)), 0.01))
        made = build_truth(cells, [split(cells, "zero_shot_context", held_out="a")], seed=seed, facts={})
        v = view(made, of_cells(mean=level[None] + 0.3 * np.sin(np.arange(40))[None], mean_split=None))
        told.append(within_error(v, "rel_rmse_mean")[0])
        values.append(METRICS["rel_rmse_mean"].compute(v)[0])
    assert np.mean(told) == pytest.approx(np.std(values), rel=0.25)


@pytest.mark.parametrize("key", [key for key in METRICS if not METRICS[key].of_mean])
def test_metrics_that_look_at_more_than_the_mean_have_no_within_condition_error(key):
    made = truth()
    assert np.isnan(within_error(view(made, of_cells()), key)).all()


def test_by_hand_the_within_condition_error_of_two_halves_one_unit_apart():
    halves = np.zeros((3, 20, 3))
    halves[0, :, 0] = (
        1.0  # n = 6: halves (3, 2, 5) and (1, 2, 5) about the mean (2, 2, 5), prediction (3, 2, 4)
    )
    made = replace(truth((6, 6, 6)), halves=halves)
    v = view(made, of_cells())
    one, other = np.sqrt([1 / 38, 5 / 30])
    found = within_error(v, "rel_rmse_mean")
    np.testing.assert_allclose(found, [(other - one) / 2, 0, 0], atol=1e-12)
    assert np.array_equal(v.y, MEAN) and np.array_equal(v.mu0[2], CONTROL[1])
