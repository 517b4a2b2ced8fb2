"""Calibrated cells keep the mean to the last digit, and have the spread of cells. Source of the cases: perturbedvae.md 16.2 and 18."""

import numpy as np
import pytest

from perturbook.models.calibrated_cells import above_zero, scaled, transport, variance_factor


@pytest.fixture
def controls():
    return np.random.default_rng(0).gamma(1.0, 1.0, (200, 30))


def test_transported_cells_have_the_mean_asked_for_and_the_variance_of_controls(controls):
    mean = np.linspace(0.5, 3, 30)
    made = transport(controls, mean)
    assert made.mean(axis=0) == pytest.approx(mean, abs=1e-12)
    assert made.var(axis=0) == pytest.approx(controls.var(axis=0))


def test_scaled_cells_have_the_variance_asked_for(controls):
    factor, mean = np.linspace(0.25, 4, 30), np.ones(30)
    made = scaled(controls, mean, factor)
    assert made.mean(axis=0) == pytest.approx(mean, abs=1e-12)
    assert made.var(axis=0) == pytest.approx(factor * controls.var(axis=0))


def test_clipping_keeps_the_mean(controls):
    mean = np.linspace(-0.5, 3, 30)
    made = above_zero(transport(controls, mean), mean)
    assert made.min() >= 0
    assert made.mean(axis=0) == pytest.approx(np.maximum(mean, 0), abs=1e-6)
    assert (made[:, mean <= 0] == 0).all() and (made[:, 5] == 0).any()


def test_nothing_is_clipped_where_nothing_lies_below_zero(controls):
    made = transport(controls, controls.mean(axis=0))
    assert above_zero(made, controls.mean(axis=0)) == pytest.approx(controls, abs=1e-9)


def test_the_factor_is_a_product_of_ratios_drawn_towards_one_and_bounded():
    rng = np.random.default_rng(1)
    controls = rng.normal(size=(5000, 3))
    twice, half = rng.normal(size=(5000, 3)) * np.sqrt(2), rng.normal(size=(5000, 3)) / np.sqrt(2)
    assert variance_factor(controls, [twice, twice]) == pytest.approx(np.full(3, 4.0), rel=0.1)
    assert variance_factor(controls, [twice, half]) == pytest.approx(np.ones(3), rel=0.1)
    assert variance_factor(controls, [twice * 100]).tolist() == [4.0] * 3
    assert variance_factor(controls, [twice * 0]) == pytest.approx(np.full(3, 0.25))
    assert (
        variance_factor(controls, []).tolist() == variance_factor(controls, [twice[:1]]).tolist() == [1.0] * 3
    )
    few = variance_factor(
        controls, [twice[:20] / twice[:20].std(axis=0, ddof=1) * controls.std(axis=0, ddof=1) * 2]
    )
    assert few == pytest.approx(np.full(3, 2.5))  # half of a ratio of 4, half of none


def test_a_gene_that_never_varies_in_controls_is_left_as_it_is():
    controls = np.zeros((10, 1))
    assert variance_factor(controls, [np.arange(10.0)[:, None]]).tolist() == [1.0]
    assert scaled(controls, np.array([0.3]), np.ones(1)).tolist() == [[0.3]] * 10


def test_the_error_of_a_cell_rises_by_the_root_of_two_when_its_spread_is_right():
    rng = np.random.default_rng(2)
    observed, controls = rng.normal(1.0, 1.0, (2000, 50)), rng.normal(0.0, 1.0, (2000, 50))
    mean = np.ones(50)
    moved = transport(controls, mean)
    error = np.sqrt(np.mean((observed - moved) ** 2) / np.mean((observed - mean) ** 2))
    assert 1.35 <= error <= 1.48
    assert 0.8 <= moved.var(axis=0).mean() / observed.var(axis=0).mean() <= 1.25
