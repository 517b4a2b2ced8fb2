"""Mean-profile metrics against hand-computed values, invariances and the floors they must not flatter."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perturbook.errors import ShapeError
from perturbook.evaluation import mean_profile as mp

finite = st.floats(-5, 5, allow_nan=False, width=32)
profiles = st.tuples(st.integers(1, 5), st.integers(3, 12)).flatmap(
    lambda shape: st.tuples(arrays(float, shape, elements=finite), arrays(float, shape, elements=finite))
)


def row(*values):
    return np.array([values], dtype=float)


def test_r2_by_hand_and_with_swapped_arguments():
    truth, predicted = row(0, 1, 2, 3), row(0, 0, 2, 4)
    assert mp.r2_mean(truth, predicted) == pytest.approx(0.6, abs=1e-12)
    assert mp.r2_mean(predicted, truth) == pytest.approx(0.818182, abs=1e-6)


def test_r2_of_a_very_bad_prediction_is_not_clipped_except_in_the_clipped_column():
    truth, bad = row(0, 1, 2, 3), row(3, 2, 1, 0)
    assert mp.r2_mean(truth, bad) == pytest.approx(-3.0)
    assert mp.r2_mean_clipped(truth, bad) == 0.0
    assert np.isnan(mp.r2_mean_clipped(row(1, 1, 1, 1), bad))


def test_the_swapped_r2_of_the_lineage_that_passes_prediction_first_is_clipped_too():
    truth, predicted, bad = row(0, 1, 2, 3), row(0, 0, 2, 4), row(3, 2, 1, 0)
    assert mp.r2_mean_swapped_clipped(truth, predicted) == pytest.approx(0.818182, abs=1e-6)
    assert mp.r2_mean_swapped_clipped(truth, bad) == 0.0
    assert np.isnan(mp.r2_mean_swapped_clipped(truth, row(1, 1, 1, 1)))


def test_l2_by_hand():
    np.testing.assert_allclose(mp.l2(row(0, 3, 1), row(0, 0, 5)), [5])


@given(profiles)
def test_a_very_bad_prediction_keeps_its_value(pair):
    truth = pair[0] + np.arange(pair[0].shape[1])
    spread = truth.std(axis=1)
    value = mp.r2_mean(truth, truth + 100 * (1 + spread[:, None]))
    assert (value[~np.isnan(value)] < -1).all()


def test_no_function_clips_except_the_one_whose_name_says_so():
    for name, function in inspect.getmembers(mp, inspect.isfunction):
        clips = "clip(" in inspect.getsource(function) or "np.maximum(r2" in inspect.getsource(function)
        assert clips == name.endswith("_clipped"), name


def test_r2_is_undefined_where_the_truth_is_constant_even_with_rounding_residue():
    assert np.isnan(mp.r2_mean(row(0.1, 0.1, 0.1), row(0.1, 0.2, 0.3)))
    assert np.isnan(mp.r2_mean(row(0.1, 0.1, 0.1 + 1e-16), row(0.1, 0.2, 0.3)))


def test_rmse_and_relative_rmse_by_hand():
    truth, predicted = row(3, 4), row(0, 4)
    assert mp.rmse_mean(truth, predicted) == pytest.approx(np.sqrt(4.5))
    assert mp.rel_rmse_mean(truth, predicted) == pytest.approx(0.6)
    assert np.isnan(mp.rel_rmse_mean(row(0, 0), predicted))


def test_pearson_delta_by_hand_against_two_references():
    y, yhat = row(2, 1, 0, 1), row(3, 1, 1, 1)
    for mu0, expected in ((row(1, 1, 1, 1), 0.816497), (row(1.5, 1, 0.5, 1), 0.577350)):
        value = mp.pearson_delta(y - mu0, yhat - mu0, mp.constant_guard(mu0))
        assert value == pytest.approx(expected, abs=1e-6)


def test_pearson_delta_of_no_change_is_undefined_although_averaging_left_residue():
    rng = np.random.default_rng(0)
    mu0 = rng.gamma(1, 1, 1000)
    again = np.tile(mu0, (333, 1)).mean(axis=0) * (1 + 1e-7 * rng.standard_normal(1000))
    effect = rng.normal(size=(1, 1000))
    assert (again != mu0).any()
    assert np.isnan(mp.pearson_delta(effect, (again - mu0)[None], mp.constant_guard(mu0)))
    assert np.isfinite(mp.pearson_delta(effect, (again - mu0)[None], 0.0))


def test_shared_control_cells_correlate_without_any_effect_and_split_controls_do_not():
    """metrics.md acceptance 17: n = n0 = 100 gives n / (n + n0) = 0.5 if both sides subtract the same mean."""
    rng = np.random.default_rng(1)
    truth, replicate, shared = rng.normal(size=(3, 200, 1000)) / np.sqrt(100)  # means of 100 cells each
    half_a, half_b = rng.normal(size=(2, 200, 1000)) / np.sqrt(50)
    assert 0.47 < mp.pearson_delta(truth - shared, replicate - shared, 0.0).mean() < 0.53
    assert abs(mp.pearson_delta(truth - half_b, replicate - half_a, 0.0).mean()) < 0.02


@given(profiles, st.floats(0.01, 100))
def test_pearson_delta_ignores_a_positive_gain_and_the_order_of_genes_and_conditions(pair, gain):
    truth, predicted = pair
    guard = 1e-3
    keep = (truth.std(axis=1) > 0.1) & (predicted.std(axis=1) > 0.1 / gain) & (predicted.std(axis=1) > 0.1)
    truth, predicted = truth[keep], predicted[keep]
    value = mp.pearson_delta(truth, predicted, guard)
    np.testing.assert_allclose(mp.pearson_delta(truth, gain * predicted, guard), value, atol=1e-9)
    for f in (mp.r2_mean, mp.rmse_mean, mp.rel_rmse_mean, lambda t, p: mp.pearson_delta(t, p, guard)):
        expected = f(truth, predicted)
        np.testing.assert_allclose(f(truth[:, ::-1], predicted[:, ::-1]), expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(f(truth[::-1], predicted[::-1])[::-1], expected)


def test_the_guard_may_differ_between_conditions():
    delta = np.array([[0.0, 1e-3, 0.0], [0.0, 1e-3, 0.0]])
    value = mp.pearson_delta(delta, delta, np.array([1e-6, 1.0]))
    assert value[0] == pytest.approx(1) and np.isnan(value[1])


def test_take_restricts_each_condition_to_its_own_genes():
    values = np.array([[1.0, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(mp.take(values, np.array([[2, 0], [1, 1]])), [[3, 1], [5, 5]])
    np.testing.assert_array_equal(mp.take(values[0], np.array([[2, 0], [1, 1]])), [[3, 1], [2, 2]])


def test_a_condition_without_a_gene_list_is_undefined_in_every_metric():
    values = np.array([[1.0, 2, 3], [4, 5, 7]])
    genes = np.array([[-1, -1], [0, 2]])
    truth, predicted = mp.take(values, genes), mp.take(values + values**2, genes)
    for f in (mp.r2_mean, mp.rmse_mean, mp.rel_rmse_mean, lambda t, p: mp.pearson_delta(t, p, 1e-9)):
        value = f(truth, predicted)
        assert np.isnan(value[0]) and np.isfinite(value[1])


def test_conditions_that_do_not_match_are_refused():
    with pytest.raises(ShapeError, match=r"\(2, 3\).*\(3, 2\)"):
        mp.r2_mean(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(ShapeError, match="conditions, genes"):
        mp.r2_mean(np.zeros(3), np.zeros(3))
    with pytest.raises(ShapeError, match="one row per condition"):
        mp.take(np.zeros((2, 3)), np.zeros((3, 1), dtype=int))
