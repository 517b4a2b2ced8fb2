"""Shrunken effects: noise goes to zero, what stands out of it stays, and the floor of gene pairs gets nearer to the truth."""

import numpy as np
import pytest
from small_world import small_world

from perturbook.models import MODELS
from perturbook.models.shrunken_effects import sampling_variance, shrink


def test_noise_alone_is_shrunken_away_and_a_large_change_stays():
    rng = np.random.default_rng(0)
    noise = np.full(300, 0.01)
    change = rng.normal(0, 0.1, 300)
    assert np.abs(shrink(change, noise)).max() < 0.05
    change[:20] += 2.0
    made = shrink(change, noise)
    assert made[:20] == pytest.approx(change[:20], rel=0.02) and np.abs(made[20:]).mean() < 0.01


def test_the_error_falls_where_effects_are_sparse_and_never_by_much_rises():
    rng = np.random.default_rng(1)
    for share in (0.0, 0.1, 1.0):
        true = rng.normal(0, 0.5, 2000) * (rng.random(2000) < share)
        noise = rng.uniform(0.005, 0.05, 2000)
        measured = true + rng.normal(size=2000) * np.sqrt(noise)
        before, after = (np.mean((one - true) ** 2) for one in (measured, shrink(measured, noise)))
        assert after < before * (0.05 if share == 0 else 0.5 if share == 0.1 else 1.0)


def test_without_noise_nothing_is_shrunken_and_signs_are_kept():
    change = np.array([0.0, 0.5, -2.0])
    assert shrink(change, np.zeros(3)).tolist() == change.tolist()
    rng = np.random.default_rng(2)
    change = rng.normal(size=50)
    made = shrink(change, np.full(50, 0.3))
    assert (made * change >= 0).all() and (np.abs(made) <= np.abs(change)).all()
    assert shrink(-change, np.full(50, 0.3)) == pytest.approx(-made)


@pytest.fixture(scope="module")
def pairs():
    return small_world()


def test_the_sampling_variance_is_that_of_a_difference_of_two_means(pairs):
    training, *_ = pairs
    made = sampling_variance(training)
    context, name, _ = training.effects.index[3]
    obs = training.cells.obs
    values = training.cells.layers["lognorm"].toarray()
    own = values[(obs["perturbation"] == name).to_numpy()]
    base = values[obs["is_control"].to_numpy(bool)]
    expected = own.var(axis=0, ddof=1) / len(own) + base.var(axis=0, ddof=1) / len(base)
    assert made[3] == pytest.approx(expected, rel=1e-5) and made.shape == training.effects.shape


def test_additive_doubles_are_predicted_better_from_shrunken_effects(pairs):
    training, query, true, classes = pairs
    plain, shrunken = (
        MODELS[name]().fit(training).predict(query).mean for name in ("additive_pairs", "additive_shrunken")
    )
    error = [np.sqrt(((one - true)[classes == "additive"] ** 2).mean()) for one in (plain, shrunken)]
    assert error[1] < 0.9 * error[0]


def test_the_clipped_sum_is_the_sum_but_never_below_zero(pairs):
    training, query, *_ = pairs
    plain, clipped = (
        MODELS[name]().fit(training).predict(query).mean for name in ("additive_pairs", "additive_clipped")
    )
    assert (clipped >= 0).all() and np.array_equal(clipped, np.maximum(plain, 0))
