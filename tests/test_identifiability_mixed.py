"""Mixtures of the responsive block: equal in law, and the MCC that chance gives."""

import numpy as np
import pandas as pd
import pytest

from perturbook import data
from perturbook.data.simulated_latent_world import Mechanisms, Mixing, draw_latents
from perturbook.pages import identifiability_tables as shown
from perturbook.pages.identifiability import ARMS, World
from perturbook.pages.identifiability_mixed import chance, chance_table, mixed

B = np.random.default_rng(3).normal(size=(4, 4))


@pytest.fixture(scope="module")
def model():
    truth = data.load("simulated-latent").uns["truth"]
    return Mechanisms(**{name: truth[name] for name in truth if name not in Mixing.__dataclass_fields__})


def law(model, k):
    """Mean, slope on zi and covariance of the responsive latents of environment k given zi."""
    response = np.linalg.inv(np.eye(4) - model.Lnn[k])
    return response @ model.mu[k], response @ model.Lni[k], response @ np.diag(model.v[k]) @ response.T


def test_every_invertible_mixture_of_the_block_has_mechanisms_of_the_same_form_in_every_environment(model):
    other = mixed(model, B)
    for k in range(13):
        assert np.allclose(np.triu(other.Lnn[k]), 0, atol=1e-9) and (other.v[k] > 0).all()
        (mean, slope, spread), (mean_b, slope_b, spread_b) = law(model, k), law(other, k)
        np.testing.assert_allclose(mean_b, B @ mean, atol=1e-9)
        np.testing.assert_allclose(slope_b, B @ slope, atol=1e-9)
        np.testing.assert_allclose(spread_b, B @ spread @ B.T, atol=1e-8)


def test_cells_of_the_mixed_mechanisms_are_those_of_the_mixture(model):
    _, z, _ = draw_latents(np.random.default_rng(0), model, (3000, 3000), twins=False)
    _, other, _ = draw_latents(np.random.default_rng(1), mixed(model, B), (3000, 3000), twins=False)
    np.testing.assert_allclose(other[:, :4].mean(axis=0), z[:, :4].mean(axis=0) @ B.T, atol=0.15)
    np.testing.assert_allclose(np.cov(other[:, :4].T), B @ np.cov(z[:, :4].T) @ B.T, rtol=0.1, atol=0.4)


def test_a_mixture_breaks_the_removal_of_edges_that_the_theorem_assumes(model):
    assert not model.Lni[2][1].any() and not model.Lnn[2][1].any()  # in environment 2 none enters latent 2
    assert np.abs(mixed(model, B).Lni[2][1]).max() > 0.01


def test_chance_lies_between_independence_and_recovery_and_is_the_same_again():
    world = World.of(0)
    found = chance(world, 50)
    assert 0.5 < np.median(found) < 0.95 and (found < 1).all()
    np.testing.assert_array_equal(found, chance(world, 50))


@pytest.mark.parametrize(
    ("values", "verdict"), [((0.99, 0.99), "single latents were found"), ((0.7, 0.99), "no evidence")]
)
def test_the_verdict_follows_the_numbers(values, verdict):
    title = ARMS["twins"].title
    stored = pd.DataFrame({"arm": title, "seed": [0, 1], "mcc_nu": values})
    rows = chance_table(stored, title, 50)
    assert verdict in shown.said_of_chance(rows).data
    assert shown.beyond_chance(rows).data.count("yes") == sum(value > 0.95 for value in values)
