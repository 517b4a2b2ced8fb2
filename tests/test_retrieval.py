"""Retrieval ranks: hand values, what ties do, and groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbook.errors import ShapeError
from perturbook.evaluation.retrieval import distances, group_sizes, nir, pds, rank_pred

ONE = np.array(["a", "a", "a"])


def test_three_truths_and_three_predictions_by_hand():
    truth, predicted = np.array([[0.0], [1], [3]]), np.array([[0.2], [2.2], [2.5]])
    np.testing.assert_array_equal(nir(truth, predicted, ONE), [1, 0.5, 1])
    np.testing.assert_array_equal(rank_pred(truth, predicted, ONE), [0, 0.5, 0])
    for norm in ("l1", "l2"):
        np.testing.assert_allclose(pds(truth, predicted, ONE, norm=norm), [1, 2 / 3, 1])


def test_the_cosine_compares_directions_by_hand():
    truth, predicted = np.array([[1.0, 0], [0, 2]]), np.array([[3.0, 4], [0.1, 5]])
    d = distances(truth, predicted, ONE[:2], norm="cosine")
    np.testing.assert_allclose(d[0], [1 - 0.6, 1 - 0.8])
    np.testing.assert_allclose(pds(truth, predicted, ONE[:2], norm="cosine"), [0.5, 1])


def test_a_prediction_of_no_change_has_no_direction_and_a_truth_without_change_is_no_competitor():
    truth, predicted = np.array([[1.0, 0], [0, 0], [0, 1]]), np.array([[0.0, 0], [1, 1], [1, 2]])
    np.testing.assert_array_equal(pds(truth, predicted, ONE, norm="cosine"), [np.nan, np.nan, 1])


@given(st.integers(0, 100), st.sampled_from(["l1", "l2", "cosine"]))
def test_genes_left_out_are_as_if_they_were_not_there(seed, norm):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.normal(size=(2, 5, 6))
    without = np.array([[0, 3], [-1, -1], [5, -1], [-1, 2], [1, 4]])
    d = distances(truth, predicted, np.zeros(5), norm=norm, without=without)
    for i in range(5):
        rest = np.setdiff1d(np.arange(6), without[i])
        alone = distances(truth[:, rest], predicted[:, rest], np.zeros(5), norm=norm)
        np.testing.assert_allclose(d[i], alone[i], rtol=1e-9)


@given(st.integers(0, 200))
def test_a_constant_predictor_averages_one_half_in_nir_and_is_worst_in_rank(seed):
    truth = np.random.default_rng(seed).normal(size=(20, 30))
    predicted = np.tile(truth.mean(axis=0), (20, 1))
    groups = np.zeros(20)
    assert nir(truth, predicted, groups).mean() == pytest.approx(0.5, abs=1e-12)
    assert (rank_pred(truth, predicted, groups) == 1).all()
    for norm in ("l1", "l2"):
        assert pds(truth, predicted, groups, norm=norm).mean() == pytest.approx(0.525, abs=1e-12)


def test_a_constant_predictor_stays_worst_although_averaging_left_residue():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(20, 30))
    predicted = truth.mean(axis=0) * (1 + 1e-15 * rng.standard_normal((20, 30)))
    assert (rank_pred(truth, predicted, np.zeros(20)) == 1).all()


def test_a_tie_counts_against_the_prediction():
    truth, predicted = np.array([[0.0], [2]]), np.array([[1.0], [2]])
    np.testing.assert_array_equal(nir(truth, predicted, ONE[:2]), [0, 1])


def test_the_perfect_predictor_is_perfect():
    truth = np.random.default_rng(1).normal(size=(6, 4))
    assert (nir(truth, truth, np.zeros(6)) == 1).all() and (rank_pred(truth, truth, np.zeros(6)) == 0).all()


def test_conditions_compete_only_inside_their_group():
    truth = np.array([[0.0], [10], [0.1], [10.1]])
    predicted = np.array([[0.05], [10.05], [0.05], [10.05]])
    np.testing.assert_array_equal(nir(truth, predicted, ["a", "a", "b", "b"]), 1)
    assert (nir(truth, predicted, ["a"] * 4) < 1).any()


def test_a_group_of_one_is_undefined_and_sizes_are_stated():
    groups = ["a", "b", "b"]
    value = nir(np.array([[0.0], [1], [2]]), np.array([[0.0], [1], [2]]), groups)
    assert np.isnan(value[0]) and (value[1:] == 1).all()
    np.testing.assert_array_equal(group_sizes(groups), [1, 2, 2])


def test_an_undefined_prediction_is_undefined_and_no_competitor():
    truth = np.array([[0.0], [1], [3]])
    predicted = np.array([[0.2], [np.nan], [2.5]])
    np.testing.assert_array_equal(nir(truth, predicted, ONE), [1, np.nan, 1])


@given(st.integers(0, 200))
def test_the_order_of_conditions_and_genes_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    truth, predicted, groups = rng.normal(size=(9, 5)), rng.normal(size=(9, 5)), rng.integers(0, 2, 9)
    order, genes = rng.permutation(9), rng.permutation(5)
    for f in (nir, rank_pred, pds):
        shuffled = f(truth[order][:, genes], predicted[order][:, genes], groups[order])
        np.testing.assert_array_equal(shuffled, f(truth, predicted, groups)[order])


def test_a_missing_group_label_is_refused():
    with pytest.raises(ShapeError, match="one label per condition"):
        nir(np.zeros((3, 1)), np.zeros((3, 1)), ["a"])
