"""Latents count as found up to what cannot be told: order, sign and scale, or an affine map."""

import numpy as np
import pytest

from perturbook.errors import ShapeError
from perturbook.evaluation.latents import affine_r2, mean_correlation


@pytest.fixture
def true():
    return np.random.default_rng(0).normal(size=(1000, 4))


def test_order_sign_and_scale_do_not_matter(true):
    copy = true[:, [2, 0, 3, 1]] * [-3.0, 0.1, 2.0, -1.0] + 5
    assert mean_correlation(copy, true) == pytest.approx(1, abs=1e-12)


def test_noise_correlates_with_nothing(true):
    assert mean_correlation(np.random.default_rng(1).normal(size=(1000, 4)), true) < 0.2


def test_every_latent_is_matched_once(true):
    same = np.repeat(true[:, :1], 4, axis=1)
    assert mean_correlation(same, true) < 0.35  # a quarter of the latents is found, whichever copies match


def test_a_constant_latent_is_no_latent(true):
    half = true * [1, 1, 0, 0] + 3
    assert mean_correlation(half, true) == pytest.approx(0.5)


def test_an_invertible_affine_map_loses_nothing(true):
    rng = np.random.default_rng(2)
    moved = true @ rng.normal(size=(4, 4)) + rng.normal(size=4)
    assert affine_r2((moved[:600], moved[600:]), (true[:600], true[600:])) == pytest.approx(1, abs=1e-12)
    assert mean_correlation(moved, true) < 0.95


def test_what_is_lost_is_said_latent_by_latent_and_nothing_is_clipped(true):
    part = true[:, :2]
    values = affine_r2((part[:600], part[600:]), (true[:600], true[600:]), each=True)
    assert values[:2] == pytest.approx([1, 1]) and (values[2:] < 0.02).all() and (values[2:] < 0).any()
    assert affine_r2((part[:600], part[600:]), (true[:600], true[600:])) == pytest.approx(values.mean())


def test_by_hand():
    found = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [2.0]])
    true = np.array([[1.0], [3.0], [5.0]]), np.array([[2.0], [4.0]])
    # the line 1 + 2 f predicts 1 and 5: squared errors 1 + 1 against 1 + 1 around the mean
    assert affine_r2(found, true) == pytest.approx(0)


def test_other_numbers_of_latents_cannot_be_matched(true):
    with pytest.raises(ShapeError, match=r"\(1000, 3\), true ones \(1000, 4\)"):
        mean_correlation(true[:, :3], true)
