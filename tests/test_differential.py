"""Welch's t from summary statistics against SciPy on cells, and the ranking of genes."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from perturbook.errors import InputError
from perturbook.evaluation.differential import top_genes, welch_p, welch_t


def test_welch_t_equals_scipy_on_the_cells():
    rng = np.random.default_rng(0)
    control = rng.gamma(1, 1, (40, 6))
    treated = [rng.gamma(1, 1.3, (n, 6)) for n in (5, 12)]
    t = welch_t(
        [x.mean(axis=0) for x in treated],
        [x.var(axis=0, ddof=1) for x in treated],
        [5, 12],
        control.mean(axis=0),
        control.var(axis=0, ddof=1),
        40,
    )
    expected = [np.abs(ttest_ind(x, control, equal_var=False).statistic) for x in treated]
    np.testing.assert_allclose(t, expected, rtol=1e-12)


def test_welch_p_equals_scipy_on_the_cells_and_has_its_limits_without_variance():
    rng = np.random.default_rng(0)
    x, control = rng.normal(size=(5, 6)), rng.normal(1, 2, size=(9, 6))
    sides = [(c.mean(axis=0)[None], c.var(axis=0, ddof=1)[None], [len(c)]) for c in (x, control)]
    np.testing.assert_allclose(
        welch_p(*sides[0], *sides[1])[0], ttest_ind(x, control, equal_var=False).pvalue
    )
    zero = np.zeros((1, 2))
    np.testing.assert_array_equal(welch_p([[0.0, 1]], zero, [5], [[0.0, 0]], zero, [5]), [[1, 0]])
    assert np.isnan(welch_p([[0.0, 1]], zero, [1], zero, zero, [5])).all()


def test_a_silent_gene_is_zero_and_a_switch_without_variance_is_infinite():
    t = welch_t(
        [[0.0, 1, 0.5, 0.1 + 0.2]], [[0.0, 0, 1, 0]], [5], [[0.0, 0, 0.5, 0.3]], [[0.0, 0, 1, 0]], [5]
    )
    np.testing.assert_array_equal(t, [[0, np.inf, 0, 0]])


def test_fewer_than_two_cells_on_either_side_are_undefined():
    one = np.ones((3, 2))
    t = welch_t(one, one, [1, 0, 5], 0 * one, one, [5, 5, 1])
    assert np.isnan(t).all()


def test_the_strongest_genes_come_first_and_ties_go_by_panel_order():
    t = np.array([[1.0, 3, 3, 0, np.inf]])
    np.testing.assert_array_equal(top_genes(t, 4), [[4, 1, 2, 0]])
    np.testing.assert_array_equal(top_genes(np.zeros((1, 4)), 2), [[0, 1]])


def test_a_condition_without_a_statistic_has_no_genes():
    np.testing.assert_array_equal(top_genes(np.array([[np.nan, 1.0], [2, 1]]), 1), [[-1], [0]])


@pytest.mark.parametrize("k", [0, 6])
def test_an_impossible_number_of_genes_is_refused(k):
    with pytest.raises(InputError, match=f"k={k} genes.*panel of 5"):
        top_genes(np.zeros((1, 5)), k)
