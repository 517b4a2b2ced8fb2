"""Weights of genes, the scores that use them, and the pool of all other cells, by hand and against cells."""

import numpy as np
import pytest

from perturbook.evaluation import weighted as w

T = np.array([[0.0, 1, 2, 4]])
WEIGHTS = np.array([[0, 0.0625, 0.25, 1]])


def row(*values):
    return np.array([values], dtype=float)


def test_weights_by_hand():
    """metrics.md acceptance 4."""
    np.testing.assert_allclose(w.effect_weights(T), WEIGHTS)
    np.testing.assert_allclose(w.effect_weights(3 * T), WEIGHTS)


def test_weighted_error_by_hand():
    assert w.wmse(row(5, 1, 2, 3), row(0, 1, 3, 2), WEIGHTS) == pytest.approx(0.952381, abs=1e-6)
    assert w.wmse(row(5, 1, 2, 3), row(0, 1, 3, 2), np.ones((1, 4))) == pytest.approx(6.75)


def test_weighted_r2_by_hand_and_what_other_readings_give():
    """metrics.md acceptance 5."""
    change, predicted = row(9, 1, -1, 2), row(0, 1, -1, 1)
    assert w.r2w_delta(change, predicted, WEIGHTS) == pytest.approx(0.447368, abs=1e-6)
    assert w.r2w_delta(predicted, change, WEIGHTS) == pytest.approx(-0.235294, abs=1e-6)
    assert w.r2w_delta(change, predicted, np.ones((1, 4))) == pytest.approx(-0.444934, abs=1e-6)


def test_a_very_bad_prediction_is_not_clipped():
    assert w.r2w_delta(row(9, 1, -1, 2), row(0, 99, 99, 99), WEIGHTS) < -1000


def test_equal_or_unknown_statistics_give_no_weights():
    for t in (row(2, 2, 2, 2), row(1, np.nan, 2, 3), row(1, np.inf, 2, 3)):
        assert np.isnan(w.effect_weights(t)).all()
    assert np.isnan(w.wmse(row(1, 2), row(2, 1), w.effect_weights(row(3, 3))))


def test_a_weighted_change_that_is_constant_has_no_r2():
    assert np.isnan(w.r2w_delta(row(5, 1, 1, 1), row(5, 1, 2, 1), WEIGHTS))


def test_the_effective_number_of_genes_is_that_of_equal_weights_and_one_for_a_single_gene():
    np.testing.assert_allclose(w.effective_number(np.array([[1.0, 1, 1, 0], [0, 0, 1, 0]])), [3, 1])
    assert w.effective_number(WEIGHTS)[0] == pytest.approx(1.3125**2 / (1 + 0.0625 + 0.0625**2))


def moments(cells):
    wide = np.full(cells.shape[1], np.nan)
    return (
        len(cells),
        cells.mean(axis=0) if len(cells) else wide,
        cells.var(axis=0, ddof=1) if len(cells) > 1 else wide,
    )


def stacked(groups):
    return tuple(np.array(one) for one in zip(*(moments(cells) for cells in groups), strict=True))


@pytest.mark.filterwarnings("error")
def test_the_rest_is_every_cell_of_the_group_but_the_condition_s_own():
    rng = np.random.default_rng(0)
    conditions, others = (
        [rng.normal(3, 1, size=(n, 4)) for n in (5, 1, 7, 3)],
        [rng.normal(size=(n, 4)) for n in (6, 0)],
    )
    group = np.array([0, 0, 0, 1])
    n, mean, variance = w.rest_moments(*stacked(conditions), group, stacked(others))
    for i in range(3):
        rest = np.concatenate([others[0], *(conditions[j] for j in range(3) if j != i)])
        assert n[i] == len(rest)
        np.testing.assert_allclose(mean[i], rest.mean(axis=0))
        np.testing.assert_allclose(variance[i], rest.var(axis=0, ddof=1))
    assert n[3] == 0 and np.isnan(mean[3]).all() and np.isnan(variance[3]).all()


def test_a_gene_equal_in_all_other_cells_has_no_variance_there_whatever_rounding_leaves():
    groups = [np.full((n, 1), 0.1 + 0.2) for n in (3, 4, 5)]
    _, _, variance = w.rest_moments(*stacked(groups), np.zeros(3, int), stacked([np.empty((0, 1))]))
    np.testing.assert_array_equal(variance, 0)


def test_pooled_moments_are_those_of_all_cells():
    rng = np.random.default_rng(1)
    groups = [rng.normal(i, 1, size=(n, 3)) for i, n in enumerate((4, 1, 6))]
    n, mean, variance = w.pooled(*stacked(groups))
    cells = np.concatenate(groups)
    assert n == 11
    np.testing.assert_allclose(mean, cells.mean(axis=0))
    np.testing.assert_allclose(variance, cells.var(axis=0, ddof=1))
