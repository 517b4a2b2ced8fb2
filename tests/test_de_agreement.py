"""Overlap of gene sets: by hand, at the edges where a set is too small, and what chance gives."""

import numpy as np
import pytest

from perturbook.evaluation import de_agreement as de

CHANGE = np.array([[3.0, -2, 1, 0.5, 0.1, 0]])
HAT = np.array([[-3.0, 0.2, 1, 2, 0.3, 0]])
TRUE = np.array([[1, 1, 1, 1, 0, 0]], bool)
PREDICTED = np.array([[1, 0, 1, 1, 1, 0]], bool)


def test_the_strongest_significant_genes_come_first_and_others_never():
    np.testing.assert_array_equal(de.strongest(CHANGE, TRUE, 2), [[1, 1, 0, 0, 0, 0]])
    np.testing.assert_array_equal(de.strongest(CHANGE, PREDICTED, 2), [[1, 0, 1, 0, 0, 0]])
    np.testing.assert_array_equal(de.strongest(CHANGE, PREDICTED, 9), PREDICTED)


def test_ties_go_by_panel_order():
    np.testing.assert_array_equal(
        de.strongest(np.array([[1.0, -1, 1]]), np.ones((1, 3), bool), 2), [[1, 1, 0]]
    )


def test_overlap_by_hand():
    # strongest true genes 0, 1, 2, 3; strongest predicted ones 0, 3, 2, 4
    for k, expected in ((1, 1), (2, 1 / 2), (3, 2 / 3), (4, 3 / 4)):
        np.testing.assert_allclose(de.overlap(CHANGE, TRUE, HAT, PREDICTED, k), [expected])
    np.testing.assert_allclose(de.overlap(CHANGE, TRUE, HAT, PREDICTED, None), [3 / 4])  # as many as are true


def test_overlap_is_undefined_where_the_truth_has_too_few_genes_and_zero_where_the_prediction_has_none():
    none = np.zeros((1, 6), bool)
    assert np.isnan(de.overlap(CHANGE, TRUE, HAT, PREDICTED, 5))
    assert np.isnan(de.overlap(CHANGE, none, HAT, PREDICTED, None))
    assert de.overlap(CHANGE, TRUE, HAT, none, 4) == 0


def test_recall_precision_and_sign_by_hand_and_where_they_do_not_exist():
    none = np.zeros((1, 6), bool)
    assert de.recall(TRUE, PREDICTED) == 3 / 4 and np.isnan(de.recall(none, PREDICTED))
    assert de.precision(TRUE, PREDICTED) == 3 / 4 and np.isnan(de.precision(TRUE, none))
    assert de.sign_agreement(CHANGE, TRUE, HAT, PREDICTED) == pytest.approx(2 / 3)  # gene 0 turns
    assert np.isnan(de.sign_agreement(CHANGE, TRUE, HAT, none))


def test_conditions_do_not_see_each_other():
    both = [np.concatenate([one, one[:, ::-1]]) for one in (CHANGE, TRUE, HAT, PREDICTED)]
    np.testing.assert_allclose(de.overlap(*both, 4), [3 / 4, 3 / 4])
    np.testing.assert_allclose(de.overlap(*both, None), [3 / 4, 3 / 4])


def test_random_gene_sets_overlap_as_chance_says():
    rng = np.random.default_rng(0)
    everything = np.ones((300, 200), bool)
    found = de.overlap(*(part for _ in range(2) for part in (rng.normal(size=(300, 200)), everything)), 20)
    assert found.mean() == pytest.approx(20 / 200, abs=0.01)
