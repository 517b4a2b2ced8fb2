"""Cell-level error and variance: hand values, the sqrt(2) fact, and the closed form against explicit pairs."""

import numpy as np
import pytest

from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.evaluation import cell_profile as cp


def moments(cells):
    return cells.mean(axis=0)[None], cells.var(axis=0, ddof=1)[None], np.array([len(cells)])


def test_relative_rmse_by_hand_with_rows_paired_as_given():
    x, xhat = np.array([[3, 4], [1, 2]]), np.array([[2, 4], [1, 0]])
    value = cp.rel_rmse_cell_pairs(x, xhat, pairing="given", batch=None)
    assert value == pytest.approx(0.408248, abs=1e-6)


def test_closed_form_is_the_mean_over_all_pairs():
    rng = np.random.default_rng(0)
    x, xhat = rng.gamma(1, 1, (5, 7)), rng.gamma(1, 2, (3, 7))
    all_pairs = np.sqrt(np.mean((xhat[None] - x[:, None]) ** 2) / np.mean(x**2))
    assert cp.rel_rmse_cell(*moments(x), *moments(xhat)) == pytest.approx(all_pairs, rel=1e-12)


def test_closed_form_equals_the_average_of_200_random_pairings():
    rng = np.random.default_rng(1)
    x, xhat = rng.gamma(1, 1, (400, 50)), rng.gamma(1, 1.2, (400, 50))
    paired = [cp.rel_rmse_cell_pairs(x, xhat, batch=None, seed=s) for s in range(200)]
    assert np.mean(paired) == pytest.approx(cp.rel_rmse_cell(*moments(x), *moments(xhat))[0], rel=0.005)
    batches = [cp.rel_rmse_cell_pairs(x, xhat, seed=s) for s in range(20)]
    assert np.mean(batches) == pytest.approx(np.mean(paired), rel=0.01)


def test_a_perfect_sampler_scores_sqrt_two_times_the_mean():
    rng = np.random.default_rng(2)
    rate = rng.gamma(0.5, 2, 300)
    x, sampler = (np.log1p(rng.poisson(rate, (500, 300))) for _ in range(2))
    truth = moments(x)
    oracle_mean = cp.rel_rmse_cell(*truth, truth[0], np.zeros_like(truth[1]))
    oracle_sampler = cp.rel_rmse_cell(*truth, *moments(sampler))
    assert 1.39 < (oracle_sampler / oracle_mean)[0] < 1.44
    assert 0.95 < cp.var_ratio(truth[1], moments(sampler)[1])[0] < 1.05
    assert cp.var_ratio(truth[1], np.zeros_like(truth[1]))[0] == 0


def test_a_variance_that_is_a_parameter_is_not_corrected_for_cell_count():
    y, v = np.array([[1.0, 2.0]]), np.array([[0.5, 0.5]])
    assert cp.rel_rmse_cell(y, v * 0, [4], y, v) == pytest.approx(np.sqrt(1 / 5))
    assert cp.rel_rmse_cell(y, v * 0, [4], y, v, n_predicted=[2]) == pytest.approx(np.sqrt(0.5 / 5))


def test_one_true_cell_has_no_spread_and_no_cells_have_no_score():
    y = np.array([[3.0, 4.0], [3.0, 4.0]])
    value = cp.rel_rmse_cell(y, np.full((2, 2), np.nan), [1, 0], y + [[3, 4]], np.zeros((2, 2)))
    assert value[0] == pytest.approx(1.0) and np.isnan(value[1])


def test_variance_ratio_by_hand():
    true = moments(np.array([[0, 0], [2, 4]]))[1]
    hat = moments(np.array([[1, 1], [2, 3]]))[1]
    assert cp.var_ratio(true, hat) == pytest.approx(0.25)
    assert cp.var_ratio_gene_median(true, hat) == pytest.approx(0.25)


def test_gene_median_leaves_out_genes_without_true_variance():
    true, hat = np.array([[0.0, 1, 1, 2]]), np.array([[9.0, 1, 2, 6]])
    assert cp.var_ratio_gene_median(true, hat) == 2


def test_variance_ratio_is_undefined_without_true_variance_or_with_one_cell():
    true = np.array([[0.0, 0], [np.nan, np.nan], [1, 1]])
    hat = np.array([[1.0, 1], [1, 1], [np.nan, np.nan]])
    assert np.isnan(cp.var_ratio(true, hat)).all()
    assert np.isnan(cp.var_ratio_gene_median(true, hat)).all()


def test_typical_ratio_is_geometric_and_counts_zeros():
    mean, zeros = cp.typical_ratio(np.array([0.5, 2.0, 0.0, np.nan]))
    assert mean == pytest.approx(1.0) and zeros == 1
    assert cp.typical_ratio(np.zeros(3)) == (0.0, 3)
    assert np.isnan(cp.typical_ratio(np.full(3, np.nan))[0])


def test_scores_do_not_depend_on_the_order_of_cells_genes_or_conditions():
    rng = np.random.default_rng(3)
    x, xhat = rng.gamma(1, 1, (20, 6)), rng.gamma(1, 1, (15, 6))
    genes, expected = rng.permutation(6), cp.rel_rmse_cell(*moments(x), *moments(xhat))
    shuffled = cp.rel_rmse_cell(
        *moments(rng.permutation(x)[:, genes]), *moments(rng.permutation(xhat)[:, genes])
    )
    np.testing.assert_allclose(shuffled, expected, rtol=1e-12)
    v, w = rng.gamma(1, 1, (4, 6)), rng.gamma(1, 1, (4, 6))
    for f in (cp.var_ratio, cp.var_ratio_gene_median):
        np.testing.assert_allclose(f(v[::-1][:, genes], w[::-1][:, genes])[::-1], f(v, w), rtol=1e-12)


def test_inputs_that_cannot_be_paired_are_refused():
    x = np.ones((3, 2))
    with pytest.raises(ConfigError, match="pairing='nearest'"):
        cp.rel_rmse_cell_pairs(x, x, pairing="nearest")
    with pytest.raises(ShapeError, match="cannot be paired"):
        cp.rel_rmse_cell_pairs(x, np.ones((3, 4)))
    with pytest.raises(ShapeError, match="cannot be paired"):
        cp.rel_rmse_cell_pairs(x, x[:2], pairing="given")
    with pytest.raises(InputError, match="at least one"):
        cp.rel_rmse_cell_pairs(x, x[:0])
    with pytest.raises(ShapeError, match="variances are"):
        cp.rel_rmse_cell(x, x[:, :1], [2, 2, 2], x, x)
