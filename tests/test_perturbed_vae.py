"""PerturbedVAE: its arithmetic by hand, what reaches what, and that its terms add up. Source of the cases: perturbedvae.md section 18."""

import numpy as np
import pytest
import torch

from perturbook.errors import ConfigError, ShapeError
from perturbook.models.perturbed_vae import Config, PerturbedVAE, alignment
from perturbook.models.perturbed_vae.batches import Cells, Paired
from perturbook.models.perturbed_vae.mechanism import Mechanism, Mechanisms, sufficiency
from perturbook.models.perturbed_vae.model import Normal, noise_kl, standard_kl
from perturbook.models.perturbed_vae.training import train

GENES, PERTS = 12, 5
SMALL = {"d_nu": 3, "d_iota": 4, "hidden": 16}


def some(cells=10, seed=0):
    """Cells, codes (a third control, the others singles) and partners."""
    draw = torch.Generator().manual_seed(seed)
    environment = torch.randint(0, PERTS + 1, (cells,), generator=draw)
    environment[: cells // 3] = 0
    u = torch.eye(PERTS + 1)[environment][:, 1:]
    return (
        torch.randn(cells, GENES, generator=draw),
        u,
        torch.randn(cells, GENES, generator=draw),
        environment,
    )


def mechanism(Lnn, Lni, mu, v):
    return Mechanism(
        *(torch.tensor(np.array([part]), dtype=torch.float64) for part in (Lnn, Lni, mu, np.log(v)))
    )


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_the_triangular_step_of_the_worked_example():
    one = mechanism([[0, 0], [0.5, 0]], [[2.0], [0.0]], [0.5, -1.0], [1.0, 1.0])
    zn = one.respond(torch.tensor([[1.0, 2.0]], dtype=torch.float64), column(3.0))
    assert zn.tolist() == [[7.5, 4.75]]


@pytest.mark.parametrize(("v", "expected"), [((1.0, 4.0), 0.5), ((2.0, 1.0), 1.153426)])
def test_the_divergence_of_the_noise_is_that_of_the_latents(v, expected):
    m, s2 = np.array([1.0, 0.0]), np.array([1.0, 4.0])
    one = mechanism([[0, 0], [0.5, 0]], [[2.0], [0.0]], [0.5, -1.0], v)
    noise = Normal(torch.tensor(m)[None], torch.log(torch.tensor(s2))[None])
    assert noise_kl(noise, one).sum().item() == pytest.approx(expected, abs=1e-6)
    # the same number from two full-covariance normals over the responsive latents
    inverse = np.linalg.inv(np.eye(2) - np.array([[0, 0], [0.5, 0]]))
    prior, posterior = (inverse @ np.diag(w) @ inverse.T for w in (v, s2))
    gap = inverse @ m
    kl = np.trace(np.linalg.solve(prior, posterior)) + gap @ np.linalg.solve(prior, gap) - 2
    kl += np.linalg.slogdet(prior)[1] - np.linalg.slogdet(posterior)[1]
    assert kl / 2 == pytest.approx(expected, abs=1e-6)


def test_a_standard_normal_lies_at_no_distance_from_itself():
    assert standard_kl(Normal(torch.zeros(2, 3), torch.zeros(2, 3))).abs().max() == 0
    assert standard_kl(Normal(torch.ones(1, 1), torch.zeros(1, 1))).item() == 0.5


@pytest.mark.parametrize(("partner", "pair", "centroid"), [((1.0, 3.0), 1.0, 1.0), ((3.0, 1.0), 5.0, 1.0)])
def test_alignment_of_pairs_counts_the_spread_and_that_of_centroids_the_gap(partner, pair, centroid):
    own, other = column(0.0, 2.0), column(*partner)
    assert alignment.pair(own, other).item() == pair
    assert alignment.centroid(own, other).item() == centroid


def test_independence_is_one_for_a_copy_of_the_environment_and_near_zero_for_noise():
    environment = torch.arange(4).repeat_interleave(100)
    draw = torch.Generator().manual_seed(0)
    apart = torch.nn.functional.one_hot(environment).float() * 1e3
    noise = torch.randn(400, 4, generator=draw)
    assert alignment.independence(apart, environment) > 0.9
    assert 0 <= alignment.independence(noise, environment) < 0.05
    assert alignment.independence(torch.ones(400, 4), environment) == 0
    assert alignment.independence(noise, torch.zeros(400)) == 0


def test_parameters_are_as_many_as_counted_by_hand():
    def count(**switches):
        return sum(one.numel() for one in PerturbedVAE(5000, 112, **switches).parameters())

    assert count() == 3_090_500
    assert count(learn_beta_nu=False) == 3_088_240


@pytest.mark.parametrize("name", ["f_nn", "f_ni", "f_mu", "f_v"])
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_effects_of_a_linear_code_network_add_and_those_of_another_do_not(name, kind):
    made = PerturbedVAE(GENES, PERTS, f=kind, **SMALL)
    for one in made.mechanisms.parameters():
        torch.nn.init.normal_(one, generator=torch.Generator().manual_seed(one.numel()))
    network = getattr(made.mechanisms, name)
    a, b, none = torch.eye(PERTS)[[0]], torch.eye(PERTS)[[1]], torch.zeros(1, PERTS)
    both, apart = network(a + b) - network(none), network(a) + network(b) - 2 * network(none)
    assert torch.allclose(both, apart, atol=1e-6) == (kind == "linear")


def test_the_matrix_of_the_edges_is_unit_lower_triangular():
    made = Mechanisms(PERTS, Config(**SMALL))(torch.eye(PERTS))
    assert made.Lnn.abs().max() > 0 and torch.equal(made.Lnn, made.Lnn.tril(-1))
    assert torch.allclose(torch.linalg.det(torch.eye(3) - made.Lnn), torch.ones(PERTS))


def test_the_code_reaches_neither_the_invariant_encoder_nor_the_decoder():
    model, (x, u, _, _) = PerturbedVAE(GENES, PERTS, **SMALL), some()
    _, one = model.encode(x, u)
    _, other = model.encode(x, 1 - u)
    assert torch.equal(one.mean, other.mean) and torch.equal(one.log_variance, other.log_variance)
    assert torch.equal(one.mean, model.encode_iota(x).mean)
    assert model.dec[-1].in_features == 16 and model.dec[0][0][0].in_features == 3 + 4


@pytest.mark.parametrize("learned", [True, False])
def test_gradients_reach_every_code_network(learned):
    model = PerturbedVAE(GENES, PERTS, learn_beta_nu=learned, **SMALL)
    model.loss(model.terms(*some())).backward()
    reached = {
        name.split(".")[1]
        for name, one in model.named_parameters()
        if "mechanisms" in name and one.grad.abs().sum() > 0
    }
    assert reached == {"f_nn", "f_ni", "f_mu", *(["f_v"] if learned else [])}


def test_without_a_learned_variance_half_of_the_theorem_s_matrix_is_missing():
    def rank(learned):
        made = Mechanisms(PERTS + 6, Config(learn_beta_nu=learned, **SMALL)).double()
        for one in made.parameters():
            torch.nn.init.normal_(one, generator=torch.Generator().manual_seed(one.numel()))
        treated, control = made(torch.eye(PERTS + 6).double()), made(torch.zeros(1, PERTS + 6).double())
        return torch.linalg.matrix_rank(sufficiency(treated, control)).item()

    assert (rank(True), rank(False)) == (6, 3)


@pytest.mark.parametrize("align", ["pair", "centroid", "none", "independence"])
def test_the_loss_is_the_weighted_sum_of_its_terms(align):
    model = PerturbedVAE(GENES, PERTS, align=align, w_nu=0.3, w_iota=0.7, alpha=5.0, **SMALL)
    terms = model.terms(*some())
    expected = terms["reconstruction"] + 0.3 * terms["kl_nu"] + 0.7 * terms["kl_iota"]
    expected = expected + (0 if align == "none" else 5.0 * terms["alignment"])
    assert model.loss(terms).item() == pytest.approx(expected.item(), abs=1e-6)
    assert model.loss(terms, 0.0).item() == terms["reconstruction"].item()


def test_no_alignment_is_an_alignment_of_no_weight():
    made = []
    for switches in ({"align": "none"}, {"align": "pair", "alpha": 0.0}):
        model = PerturbedVAE(GENES, PERTS, **switches, **SMALL)
        torch.manual_seed(0)
        made.append(model.loss(model.terms(*some())).item())
    assert made[0] == made[1]


@pytest.mark.parametrize("likelihood", ["gaussian_fixed", "gaussian_gene", "nb"])
def test_every_likelihood_trains_and_draws_cells_whose_mean_it_knows(likelihood):
    from perturbook.models.perturbed_vae.likelihood import Counts

    model = PerturbedVAE(GENES, PERTS, likelihood=likelihood, **SMALL)
    x, u, x0, environment = some()
    counts = Counts(torch.poisson(torch.full((10, GENES), 3.0)), torch.full((10,), 3.0 * GENES))
    terms = model.terms(x, u, x0, environment, counts)
    model.loss(terms).backward()
    assert all(torch.isfinite(one) for one in terms.values())
    decoded, library = torch.zeros(4000, GENES), torch.full((4000,), 1e5)
    torch.manual_seed(0)
    drawn = model.likelihood.draw(decoded, library).detach()
    spread = {"gaussian_fixed": 0.0, "gaussian_gene": 1.0, "nb": None}[likelihood]
    if likelihood == "nb":  # variance of counts m + m^2 at a dispersion of 1
        counted = drawn.expm1() * 1e5 / 1e4
        m = 1e5 / GENES
        assert counted.mean() == pytest.approx(m, rel=0.02) and counted.var() == pytest.approx(
            m + m**2, rel=0.1
        )
    else:
        assert drawn.mean() == pytest.approx(0, abs=0.02) and drawn.var() == pytest.approx(spread, abs=0.05)
        assert torch.equal(model.likelihood.mean(decoded), decoded)


def test_the_squared_error_is_the_normal_of_variance_one():
    x, u, x0, _ = some()
    made = []
    for likelihood in ("gaussian_fixed", "gaussian_gene"):
        model = PerturbedVAE(GENES, PERTS, likelihood=likelihood, **SMALL)
        torch.manual_seed(0)
        made.append(model.terms(x, u, x0)["reconstruction"].item())
    assert made[0] == pytest.approx(made[1], rel=1e-6)


def cells_of(n=60, controls=20, seed=0, **fields):
    rng = np.random.default_rng(seed)
    environment = np.r_[np.zeros(controls, int), rng.integers(1, 4, n - controls)]
    codes = np.vstack([np.zeros(PERTS), np.eye(PERTS)[:3]])
    x = rng.normal(size=(n, GENES)).astype(np.float32)
    group = fields.pop("group", np.zeros(n, int))
    return Cells(x, codes, environment, group, **fields)


def test_partners_are_controls_of_the_same_context_and_never_the_cell_itself():
    group = np.r_[np.tile([0, 1], 10), np.tile([0, 1], 20)]
    for pairing in ("random", "nearest"):
        cells = cells_of(group=group, pairing=pairing)
        rows = np.arange(60)
        partners = cells.partners(rows, np.random.default_rng(0))
        assert (cells.environment[partners] == 0).all() and (group[partners] == group).all()
        assert (partners[:20] != rows[:20]).all()


def test_a_single_control_is_its_own_partner():
    cells = cells_of(n=10, controls=1)
    assert set(cells.partners(np.arange(10), np.random.default_rng(0))) == {0}
    assert set(cells_of(n=10, controls=1, pairing="nearest").nearest) == {0}


def test_twins_are_partners_only_where_they_are_asked_for():
    twins = np.full((60, GENES), 7.0)
    (batch, *_) = Paired(cells_of(twins=twins, pairing="counterfactual"), 64)(0, 0)
    assert (batch.x0 == 7).all()
    (batch, *_) = Paired(cells_of(twins=twins), 64)(0, 0)
    assert not (batch.x0 == 7).any()


def test_batches_are_a_function_of_seed_and_epoch_and_hold_every_cell_once():
    batches = Paired(cells_of(), 16)
    assert [len(one.x) for one in batches(0, 0)] == [15] * 4
    again, other = [torch.cat([one.x for one in batches(0, epoch)]) for epoch in (0, 1)]
    assert torch.equal(again, torch.cat([one.x for one in batches(0, 0)])) and not torch.equal(again, other)
    assert torch.equal(again.sort(dim=0).values, other.sort(dim=0).values)


def test_sparse_cells_give_the_batches_of_dense_ones():
    import scipy.sparse as sp

    made = cells_of()
    sparse = Cells(sp.csr_matrix(made.x), made.codes, made.environment, made.group)
    for one, other in zip(Paired(made, 16)(0, 0), Paired(sparse, 16)(0, 0), strict=True):
        assert torch.equal(one.x, other.x) and torch.equal(one.x0, other.x0)


def test_two_trainings_are_equal_and_an_unseen_code_keeps_its_first_weights():
    before = PerturbedVAE(GENES, PERTS, **SMALL)
    made = [PerturbedVAE(GENES, PERTS, **SMALL) for _ in range(2)]
    histories = [train(model, cells_of(), epochs=2, batch_size=16) for model in made]
    for name, one in made[0].state_dict().items():
        assert torch.equal(one, made[1].state_dict()[name]), name
    weight, first = made[0].mechanisms.f_mu.weight, before.mechanisms.f_mu.weight
    assert torch.equal(weight[:, 3:], first[:, 3:]) and not torch.equal(weight[:, :3], first[:, :3])
    rows = histories[0].table()
    watched = rows[rows["term"] == "active responsive"]
    assert list(watched["step"]) == [0, 4]
    assert {"reconstruction", "kl_nu", "kl_iota", "alignment", "loss", "alignment gap"} <= set(rows["term"])


def test_weights_rise_over_ten_epochs():
    config = Config()
    assert [config.rise(epoch) for epoch in (0, 5, 10, 50)] == [0, 0.5, 1, 1]
    assert Config(anneal="none").rise(0) == 1
    assert [Config(anneal="cyclic").rise(epoch) for epoch in (0, 2.5, 7, 10)] == [0, 0.5, 1, 0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"align": "magnet"}, "align is 'magnet'. Allowed: pair, centroid, none, independence"),
        ({"d_nu": 0}, "d_nu is 0; give a whole number from 1"),
        ({"alpha": -1.0}, "alpha is -1.0; give a number from 0"),
        ({"w_nu": float("nan")}, "w_nu is nan"),
    ],
)
def test_impossible_switches_are_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        PerturbedVAE(GENES, PERTS, **given)


def test_what_does_not_fit_is_named():
    model, (x, u, x0, _) = PerturbedVAE(GENES, PERTS, align="independence", **SMALL), some()
    with pytest.raises(ShapeError, match="needs the environment"):
        model.terms(x, u, x0)
    with pytest.raises(ShapeError, match=r"u \(10, 4\); expected \(cells, 12\) and \(cells, 5\)"):
        model.terms(x, u[:, 1:], x0)
    with pytest.raises(ConfigError, match="pairing is 'twin'"):
        cells_of(pairing="twin")
    with pytest.raises(ConfigError, match="needs twins"):
        cells_of(pairing="counterfactual")
    with pytest.raises(ConfigError, match="context number 1 has no control"):
        cells_of(group=np.r_[np.zeros(20, int), np.ones(40, int)])
