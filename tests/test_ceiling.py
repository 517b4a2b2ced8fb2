"""Projections from split halves, and the scale between floor and ceiling."""

import numpy as np
import pytest

from perturbook.evaluation.ceiling import full_duplicate, oracle_projection, scaled


def test_projections_by_hand():
    assert full_duplicate(0.5) == pytest.approx(2 / 3)
    assert oracle_projection(0.5) == pytest.approx(0.816497, abs=1e-6)
    np.testing.assert_array_equal(full_duplicate([0, 1]), [0, 1])
    np.testing.assert_array_equal(oracle_projection([0, 1]), [0, 1])


def test_projections_are_undefined_where_halves_disagree():
    r = np.array([-0.5, -1, np.nan, 1.5])
    assert np.isnan(full_duplicate(r)).all() and np.isnan(oracle_projection(r)).all()


def test_projections_predict_a_simulated_duplicate_and_oracle():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=20_000)

    def measure(cells):
        return signal + 3 * rng.normal(size=20_000) / np.sqrt(cells)

    r_half = np.corrcoef(measure(5), measure(5))[0, 1]
    assert np.corrcoef(measure(10), measure(10))[0, 1] == pytest.approx(full_duplicate(r_half), abs=0.02)
    assert np.corrcoef(signal, measure(10))[0, 1] == pytest.approx(oracle_projection(r_half), abs=0.02)


def test_scaled_is_not_clipped_and_undefined_without_a_range():
    assert scaled(0.3, 0.4, 0.8) == pytest.approx(-0.25)
    assert scaled(0.9, 0.4, 0.8) == pytest.approx(1.25)
    assert scaled(0.1, 0.5, 0.0) == pytest.approx(0.8)  # an error: lower is better
    assert np.isnan(scaled(0.3, 0.4, 0.4)) and np.isnan(scaled(np.nan, 0.4, 0.8))
