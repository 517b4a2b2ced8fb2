"""What is read from a trained PerturbedVAE: the prior by hand, latents of cells, the decoder's answer."""

import numpy as np
import pytest
import torch

from perturbook.models.perturbed_vae import PerturbedVAE, reading


@pytest.fixture
def model():
    """Two responsive latents, one invariant, one gene perturbed; mechanisms set by hand."""
    made = PerturbedVAE(3, 1, d_nu=2, d_iota=1, hidden=4)
    with torch.no_grad():
        for net, weight, bias in [
            (made.mechanisms.f_nn, [0.0], [0.5]),
            (made.mechanisms.f_ni, [0.0, 0.0], [2.0, 0.0]),
            (made.mechanisms.f_mu, [1.0, 0.0], [0.5, -1.0]),
            (made.mechanisms.f_v, [0.0, np.log(4.0)], [0.0, 0.0]),
        ]:
            net.weight.copy_(torch.tensor(weight).view(-1, 1))
            net.bias.copy_(torch.tensor(bias))
    return made


def test_mean_and_spread_of_the_prior_by_hand(model):
    told = reading.prior(model, np.array([[0.0], [1.0]]))
    # control: A^-1 mu = (.5, .25 - 1); variances 1 + 2^2 and .25 * 5 + 1
    assert told.mean[0] == pytest.approx([0.5, -0.75]) and told.spread[0] ** 2 == pytest.approx([5, 2.25])
    # perturbed: mu = (1.5, -1) and a variance of 4 for the second
    assert told.mean[1] == pytest.approx([1.5, -0.25]) and told.spread[1] ** 2 == pytest.approx([5, 5.25])
    assert told.edges[0].tolist() == [[0, 0], [0.5, 0]]


def test_the_prior_is_what_draws_of_it_give(model):
    u, rng = torch.ones(200_000, 1), torch.Generator().manual_seed(0)
    told = model.mechanisms(u)
    t, zi = torch.randn(200_000, 2, generator=rng), torch.randn(200_000, 1, generator=rng)
    with torch.no_grad():
        drawn = told.respond(t * torch.exp(told.log_v / 2), zi)
    prior = reading.prior(model, np.ones((1, 1)))
    assert drawn.mean(dim=0).numpy() == pytest.approx(prior.mean[0], abs=0.02)
    assert drawn.std(dim=0).numpy() == pytest.approx(prior.spread[0], rel=0.01)


def test_invariant_latents_do_not_depend_on_what_the_encoder_is_told(model):
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    told, blind = (reading.posterior(model, x, np.full((5, 1), u)) for u in (1.0, 0.0))
    assert (told.zi == blind.zi).all() and (told.zn != blind.zn).any()
    assert told.zn.shape == told.variance.shape == (5, 2) and told.zi.shape == (5, 1)
    assert {part.dtype for part in told} == {np.dtype("float64")}


def test_mean_and_variance_of_a_posterior_are_those_of_its_draws(model):
    x, u = np.ones((1, 3), np.float32), np.ones((1, 1), np.float32)
    found = reading.posterior(model, x, u)
    with torch.no_grad():
        noise, zi = model.encode(*(torch.from_numpy(part).expand(200_000, -1) for part in (x, u)))
        drawn = model.mechanisms(torch.ones(200_000, 1)).respond(noise.draw(), zi.draw())
    assert drawn.mean(dim=0).numpy() == pytest.approx(found.zn[0], abs=0.03)
    assert drawn.var(dim=0).numpy() == pytest.approx(found.variance[0], rel=0.02)


def test_information_is_no_divergence_where_posterior_and_prior_are_equal(model):
    with torch.no_grad():
        model.g_iota.weight.zero_()
        model.g_iota.bias.zero_()
    responsive, invariant = reading.information(model, np.ones((4, 3), np.float32), np.zeros((4, 1)))
    assert invariant == pytest.approx([0]) and responsive.shape == (2,) and (responsive >= 0).all()


def test_the_answer_of_the_decoder_is_the_difference_of_two_decoded_cells(model):
    made, told = reading.responses(model), reading.prior(model, np.zeros((1, 1)))
    start, zi = torch.tensor(told.mean).float(), torch.zeros(1, 1)
    moved = start + torch.tensor([[0.0, told.spread[0, 1]]]).float()
    with torch.no_grad():
        wanted = (model.decode(moved, zi) - model.decode(start, zi))[0]
    assert made.shape == (2, 3) and made[1] == pytest.approx(wanted.numpy(), abs=1e-6)


def test_without_a_learned_variance_half_of_the_singular_values_vanish():
    made = PerturbedVAE(3, 9, d_nu=2, d_iota=1, hidden=4, learn_beta_nu=False)
    values = reading.singular_values(made)
    assert values.shape == (4,) and (values[:2] > 0).all() and values[2:] == pytest.approx([0, 0], abs=1e-12)
