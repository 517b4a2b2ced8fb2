"""Discrepancy-VAE and SAMS-VAE: their algebra by hand, their objectives beside references, and what they must recover."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData
from scipy.stats import nbinom
from torch.utils._python_dispatch import TorchDispatchMode

from perturbook import data, splits
from perturbook.data.schema import normalise
from perturbook.errors import ConfigError, NotApplicable
from perturbook.models import MODELS, Query, Training
from perturbook.models.perturbed_vae.batches import Cells
from perturbook.models.perturbed_vae.likelihood import Counts
from perturbook.models.perturbed_vae.model import Normal
from perturbook.models.predecessors import discrepancy_vae, sams_vae
from perturbook.models.predecessors.discrepancy_vae import DiscrepancyVAE, OneCondition, mmd, schedule
from perturbook.models.training import Settings, fit

KERNELS = [2.0**i for i in range(-5, 5)]


def naive_mmd(one, other, width):
    """Mean over all pairs of cells, kernel by kernel, from differences."""

    def mean(a, b):
        squares = ((a[:, None] - b[None]) ** 2).sum(axis=2)
        return sum(np.exp(-squares / (width * k)) for k in KERNELS).mean()

    return mean(one, one) + mean(other, other) - 2 * mean(one, other)


# Discrepancy-VAE: the discrepancy


def test_the_gram_form_of_the_mmd_equals_the_naive_expansion():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(13, 6)), rng.normal(0.7, 2, size=(9, 6))
    expected = naive_mmd(one, other, 3.0)
    double, single = (
        float(mmd(*(torch.tensor(x, dtype=t) for x in (one, other)), 3.0))
        for t in (torch.float64, torch.float32)
    )
    assert double == pytest.approx(expected, rel=1e-12)
    assert single == pytest.approx(expected, rel=1e-5)


def test_single_precision_is_enough_for_cells_of_five_thousand_genes():
    rng = np.random.default_rng(0)
    one, other = rng.gamma(0.3, size=(32, 5000)), rng.gamma(0.32, size=(32, 5000))
    single = float(mmd(*(torch.tensor(x, dtype=torch.float32) for x in (one, other)), 1000.0))
    assert single == pytest.approx(naive_mmd(one, other, 1000.0), abs=1e-4)


def test_the_mmd_of_two_points_by_hand_and_of_equal_cells():
    # distance 4, width 4: kernels exp(-1/k); both means of a cell with itself are 10
    expected = 20 - 2 * sum(np.exp(-1 / k) for k in KERNELS)
    assert float(mmd(torch.tensor([[0.0]]), torch.tensor([[2.0]]), 4.0)) == pytest.approx(expected, rel=1e-6)
    same = torch.randn(8, 3, dtype=torch.float64)
    assert float(mmd(same, same, 1.0)) == pytest.approx(0, abs=1e-12)


def test_no_tensor_of_cells_by_cells_by_genes_is_made():
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            made = func(*args, **(kwargs or {}))
            largest = max(largest, made.numel() if isinstance(made, torch.Tensor) else 0)
            return made

    with Watch():
        mmd(torch.randn(32, 2000), torch.randn(32, 2000), 1.0)
    assert largest == 64 * 2000  # all cells; 64 x 64 x 10 kernels are fewer


def test_the_typical_distance_is_the_mean_squared_distance_of_two_cells():
    x = np.array([[0.0, 0], [2, 0], [4, 6]])
    pairs = [((a - b) ** 2).sum() for a in x for b in x]
    assert discrepancy_vae.typical_distance(x) == pytest.approx(np.mean(pairs))
    assert discrepancy_vae.typical_distance(np.ones((3, 2))) == 1.0


# Discrepancy-VAE: shifts and graph


def small_model(n_perts=3, latent=4):
    return DiscrepancyVAE(6, n_perts, latent=latent, hidden=8)


def test_a_shift_is_carried_along_the_graph_by_hand():
    model = small_model(latent=3)
    with torch.no_grad():
        model.graph.copy_(
            torch.tensor([[9, 0.5, 0], [9, 9, 2], [9, 9, 9.0]])
        )  # what is not above the diagonal is ignored
    z = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 2, 3]])
    assert model.causal(z).tolist() == [[1, 0.5, 1], [0, 1, 2], [1, 2.5, 8]]
    inverse = torch.linalg.inv(torch.eye(3) - model.graph.triu(1))
    assert torch.allclose(model.causal(z), z @ inverse, atol=1e-6)


def test_a_double_adds_two_encoded_shifts_and_is_not_the_encoding_of_a_two_hot_code():
    model = small_model()
    with torch.no_grad():
        model.strength.copy_(torch.tensor([1.0, -2.0, 3.0]))
        codes = torch.eye(3)

        def encoded(code):
            return torch.softmax(5 * model.target(code), dim=-1) * (code @ model.strength)

        both = codes[0] + codes[2]
        assert torch.allclose(model.shift(both), encoded(codes[0]) + encoded(codes[2]), atol=1e-6)
        assert not torch.allclose(model.shift(both), encoded(both), atol=1e-2)
        assert model.shift(torch.zeros(3)).abs().max() == 0
        assert torch.allclose(model.shift(codes).sum(dim=1), model.strength)  # targets sum to 1


def test_the_published_schedules_at_their_corners():
    at = {share: schedule(share) for share in (0, 0.05, 0.275, 0.5, 0.55, 1)}
    assert at[0] == at[0.05] == (0, 0, 1)
    assert at[0.275][0] == pytest.approx(5) and at[0.5][0] == at[1][0] == 10
    assert at[0.55][1] == pytest.approx(1) and at[1][1:] == (2, 5)


def chain(n, targets, rng):
    """The published simulation: five latents in a chain through ReLU, a shift of 5, ten dimensions of which five are empty."""
    noise, out = rng.normal(size=(n, 5)), np.zeros((n, 10), np.float32)
    for i in range(5):
        out[:, i] = noise[:, i] + 5 * (i in targets) + (np.maximum(out[:, i - 1], 0) if i else 0)
    return out


def chain_cells(n, rng):
    x = np.vstack([chain(5 * n, (), rng), *(chain(n, (k,), rng) for k in range(5))])
    environment = np.repeat(np.arange(6), [5 * n, *[n] * 5])
    codes = np.vstack([np.zeros(5), np.eye(5)]).astype(np.float32)
    return Cells(x, codes, environment, np.zeros(len(x), int))


def test_a_batch_holds_one_condition_and_controls_of_its_context_and_an_epoch_every_cell_once():
    n = 70
    environment = np.r_[np.zeros(20, int), np.arange(n) % 3 + 1]
    group = np.r_[np.arange(20) % 2, np.arange(n) % 2]
    x = np.column_stack([np.arange(90), group, environment]).astype(np.float32)
    cells = Cells(x, np.vstack([np.zeros(3), np.eye(3)]).astype(np.float32), environment, group)
    batches = OneCondition(cells, 4)
    made = list(batches(0, 1))
    assert sorted(int(i) for batch in made for i in batch.y[:, 0]) == list(range(20, 90))
    for batch in made:
        assert len(set(map(tuple, batch.y[:, 1:].tolist()))) == 1
        assert (batch.x0[:, 1] == batch.y[0, 1]).all() and (batch.x0[:, 2] == 0).all()
        assert batch.code[int(batch.y[0, 2]) - 1] == 1 and batch.code.sum() == 1
        assert 4 <= len(batch.y) == len(batch.x0) < 8
    again = list(batches(0, 1))
    assert all(torch.equal(a.y, b.y) and torch.equal(a.x0, b.x0) for a, b in zip(made, again, strict=True))
    assert not all(torch.equal(a.y, b.y) for a, b in zip(made, batches(0, 2), strict=False))


def test_the_loss_is_the_weighted_sum_of_its_terms():
    cells = chain_cells(8, np.random.default_rng(0))
    model = DiscrepancyVAE(10, 5, latent=5, hidden=8)
    terms = discrepancy_vae.Loss(100, 10.0)(model, OneCondition(cells, 8)(0, 0)[0], 55)
    weighted = 10 * terms["mmd"] + terms["reconstruction"] + terms["kl"] + 1e-3 * terms["edges"]
    assert terms["loss"].item() == pytest.approx(weighted.item(), rel=1e-6)
    assert terms["edges"].item() == pytest.approx(
        float(np.abs(np.triu(model.graph.detach(), 1)).sum()), rel=1e-5
    )


@pytest.mark.slow
def test_in_the_published_simulation_shifts_fit_unseen_cells_of_singles_and_of_doubles_never_trained():
    rng = np.random.default_rng(0)
    cells = chain_cells(192, rng)
    model, batches = DiscrepancyVAE(10, 5, latent=5, hidden=32), OneCondition(cells, 64)
    steps = 30 * len(batches(0, 0))
    fit(
        model, discrepancy_vae.Loss(steps, 100.0), batches, Settings(epochs=30, learning_rate=1e-2, clip=None)
    )
    x0 = torch.from_numpy(chain(500, (), rng))

    def left(targets):
        """Share of the discrepancy of no change that the prediction leaves."""
        code = torch.zeros(5)
        code[list(targets)] = 1
        y = torch.from_numpy(chain(500, targets, rng))
        with torch.no_grad():
            made = model.decode(model.encode(x0).draw(), model.shift(code))
            return float(mmd(made, y, 100.0) / mmd(x0, y, 100.0))

    assert max(left((k,)) for k in range(5)) < 0.5
    assert max(left(pair) for pair in [(0, 1), (0, 3), (2, 4)]) < 0.7


# SAMS-VAE


def sams(n_genes=5, n_perts=3, counted=True, **sizes):
    n_out = n_genes + counted
    profile = sams_vae.Profile(torch.zeros(n_genes), torch.ones(n_genes), torch.zeros(n_out))
    return sams_vae.SAMSVAE(
        profile, n_perts, counted, **{"latent": 4, "hidden": 8, "layers": 1, "effect_layers": 2, **sizes}
    )


def test_the_scored_counts_are_a_negative_binomial_of_library_and_softmax():
    rng = np.random.default_rng(0)
    model, decoded = sams(), rng.normal(size=(7, 6))
    with torch.no_grad():
        model.likelihood.log_inverse_dispersion.copy_(torch.linspace(-1, 2, 6))
        counts, library = rng.poisson(3, size=(7, 6)), rng.integers(10, 60, size=7)
        given = Counts(torch.tensor(counts).float(), torch.tensor(library).float())
        got = model.likelihood(torch.tensor(decoded).float(), None, given).numpy()
    share = np.exp(decoded) / np.exp(decoded).sum(axis=1, keepdims=True)
    r, m = np.exp(np.linspace(-1, 2, 6)), share * library[:, None]
    assert -got == pytest.approx(nbinom.logpmf(counts, r, r / (r + m)), abs=1e-4)


def test_the_counts_outside_of_the_panel_are_decoded_and_not_scored():
    model, u = sams(), torch.zeros(2, 3)
    x, library = torch.zeros(2, 5), torch.tensor([50.0, 80.0])
    made = []
    for rest in (0.0, 1000.0):
        counts = Counts(torch.cat([torch.ones(2, 5), torch.full((2, 1), rest)], dim=1), library)
        torch.manual_seed(0)
        made.append(model.terms(x, u, counts, torch.ones(3), 2)["reconstruction"].item())
    assert made[0] == made[1]


def test_the_divergence_of_masks_is_that_of_bernoullis():
    logits = torch.tensor([-8.0, -1, 0, 3])
    q, p = torch.distributions.Bernoulli(logits=logits), torch.distributions.Bernoulli(0.01)
    expected = torch.distributions.kl_divergence(q, p)
    assert torch.allclose(sams_vae.bernoulli_kl(logits), expected, rtol=1e-4, atol=1e-6)


def test_over_all_cells_the_divergence_of_every_effect_counts_once():
    model = sams(counted=False)
    u = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1]])
    terms = model.terms(torch.zeros(5, 5), u, None, u.sum(dim=0), 3)
    expected = sams_vae.bernoulli_kl(model.mask_logits).sum()
    assert 5 * terms["kl_mask"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_masks_are_zero_or_one_with_the_probability_of_their_logit_and_let_gradients_through():
    model = sams(latent=2)
    with torch.no_grad():
        model.mask.copy_(torch.tensor([[-20.0, 20], [0, -1], [1, 2]]) / sams_vae.PACE)
    mask = model.masks(4000)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(mask.mean(dim=0), model.mask_logits.sigmoid(), atol=0.03)
    mask.sum().backward()
    assert (model.mask.grad[1:] > 0).all()


def fixed(monkeypatch, table, n_genes=4):
    """A predictor whose decoder shows the latents, whose basal state is the cell, and whose effects are `table`."""
    predictor = sams_vae.Predictor()
    model = predictor.model = sams(n_genes=n_genes, n_perts=len(table), counted=False)
    with torch.no_grad():
        model.mask.copy_(torch.where(table == 0, -30.0, 30.0))
    sure = torch.tensor(-500.0)  # a log variance whose standard deviation is 0 in single precision
    monkeypatch.setattr(model, "encode", lambda x, offset: Normal(x, sure.expand_as(x)))
    monkeypatch.setattr(
        model, "effects", lambda mask, genes: Normal(table[genes].expand_as(mask), sure.expand_as(mask))
    )
    model.decoder = torch.nn.Identity()
    monkeypatch.setattr(model.likelihood, "draw", lambda decoded, library: decoded)
    return predictor


def test_a_double_sums_the_rows_of_both_genes_by_hand(monkeypatch):
    table = torch.tensor([[1.0, 0, 0, 2], [0, -3, 0, 1], [5, 5, 5, 5]])
    predictor, x0 = fixed(monkeypatch, table), torch.tensor([[0.0, 0, 0, 0], [1, 1, 1, 1]])
    with torch.no_grad():
        moved = [
            predictor._draw(x0, torch.ones(2), torch.tensor(code)) - x0
            for code in ([1.0, 0, 0], [1.0, 1, 0], [0.0, 0, 0])
        ]
    assert moved[0].tolist() == [[1, 0, 0, 2]] * 2
    assert moved[1].tolist() == [[1, -3, 0, 3]] * 2
    assert moved[2].abs().max() == 0


def planted(seed=0, n=120, genes=30):
    """Counts in which A moves program 1 up, B moves it down, C moves program 2; the rest of the counts is not in the panel."""
    rng = np.random.default_rng(seed)
    programs = np.zeros((3, genes))
    for k in range(3):
        programs[k, 8 * k : 8 * k + 8] = rng.choice([-0.6, 0.6], 8)
    shift = {
        "control": (0, 0, 0),
        "A": (0, 2.5, 0),
        "B": (0, -2.5, 0),
        "C": (0, 0, 2.5),
        "A+C": (0, 2.5, 2.5),
    }
    names = np.repeat(list(shift), n)
    z = rng.normal(size=(len(names), 3)) * 0.5 + np.array([shift[name] for name in names])
    library = rng.integers(2000, 4000, len(names)).astype(float)
    rates = library[:, None] * np.exp(z @ programs) * rng.uniform(0.002, 0.01, genes)
    counts = sp.csr_matrix(rng.poisson(rates).astype(np.float32))
    library = np.maximum(library, counts.sum(axis=1).A1)
    obs = pd.DataFrame({"context": "K562", "perturbation": names, "dose_um": np.nan, "n_counts": library})
    obs.index = [f"c{i:04d}" for i in range(len(obs))]
    obs["is_control"] = names == "control"
    return AnnData(counts, obs, layers={"lognorm": normalise(counts, library)}, uns={"value_kind": "counts"})


@pytest.mark.slow
def test_a_planted_sparse_shift_is_recovered_with_few_latents_and_its_double_too():
    cells = planted()
    seen = Training(cells[cells.obs["perturbation"] != "A+C"].copy())
    small = {"latent": 8, "hidden": 32}
    predictor = sams_vae.Predictor(epochs=60, learning_rate=2e-2, sizes=small).fit(seen)
    profiles = Training(cells).profiles
    names = profiles.obs["perturbation"].astype(str).tolist()
    truth = dict(zip(names, profiles.mean, strict=True))
    asked = profiles.obs[~profiles.obs["is_control"].to_numpy(bool)]
    made = predictor.predict(Query(cells[cells.obs["is_control"].to_numpy(bool)].copy(), asked))
    for name, mean in zip(asked["perturbation"].astype(str), made.mean, strict=True):
        left = np.linalg.norm(mean - truth[name]) / np.linalg.norm(truth[name] - truth["control"])
        assert left < (0.4 if name == "A+C" else 0.25)
    on = predictor.model.mask_logits.sigmoid()  # all begin at one half
    assert (on < 0.5).float().mean() > 0.6 and (on > 0.9).any(dim=1).all()


# Both behind the protocol

SHORT = {
    "discrepancy_vae": {"epochs": 2, "sizes": {"latent": 4, "hidden": 8}},
    "sams_vae": {"epochs": 2, "sizes": {"latent": 4, "hidden": 8}, "particles": 2},
}
BOTH = sorted(SHORT)


@pytest.fixture(scope="module")
def screen():
    cells = data.load("simulated-pairs", size="small", worlds=1, expectation=False)
    cells.uns.pop("truth", None)
    return cells, splits.split(cells, "additive_split", 0, context="world-1")


@pytest.fixture(scope="module")
def training(screen):
    cells, split = screen
    return Training(cells[split.visible].copy(), frozenset(split.valid))


@pytest.fixture(scope="module")
def query(screen):
    cells, split = screen
    return Query(cells[split.query].copy(), split.conditions)


@pytest.fixture(scope="module")
def fitted(training):
    return {name: MODELS[name](**SHORT[name]).fit(training) for name in BOTH}


@pytest.mark.parametrize("name", BOTH)
def test_a_prediction_is_a_cell_per_control_cell_and_depends_on_nothing_else_asked_nor_on_their_order(
    fitted, query, name
):
    made = fitted[name].predict(query)
    assert {one.shape for one in made.cells} == {(query.controls.n_obs, query.controls.n_vars)}
    assert (made.variance > 0).all()
    alone = fitted[name].predict(Query(query.controls[::-1].copy(), query.conditions.iloc[[2]]))
    assert np.array_equal(alone.mean[0], made.mean[2])


@pytest.mark.parametrize("name", BOTH)
def test_equal_seeds_give_equal_predictions_whatever_the_order_of_cells_and_another_seed_does_not(
    fitted, training, query, name
):
    made = fitted[name].predict(query).mean
    turned = Training(training.cells[::-1].copy())
    assert np.array_equal(MODELS[name](**SHORT[name]).fit(turned).predict(query).mean, made)
    other = MODELS[name](**SHORT[name], seed=1).fit(training).predict(query).mean
    assert not np.allclose(other, made)


@pytest.mark.parametrize("name", BOTH)
def test_a_gene_never_perturbed_in_training_has_no_prediction(fitted, query, name):
    asked = query.conditions.iloc[[0, 0]].copy()
    asked["perturbation"] = [str(asked["perturbation"].iloc[0]), "NEVER"]
    made = fitted[name].predict(Query(query.controls, asked)).mean
    assert np.isfinite(made[0]).all() and np.isnan(made[1]).all()
    with pytest.raises(NotApplicable):
        fitted[name].predict(Query(query.controls, asked.iloc[[1]]))


@pytest.mark.parametrize("name", BOTH)
def test_one_control_cell_and_a_perturbation_of_one_cell_are_enough(training, query, name):
    names = training.cells.obs["perturbation"].astype(str)
    control = query.controls.obs_names[0]
    single = next(one for one in sorted(set(names)) if one != "control" and "+" not in one)
    few = [control, names.index[names == single][0]]
    made = MODELS[name](**SHORT[name]).fit(Training(training.cells[few].copy()))
    asked = query.conditions.iloc[[0]].assign(perturbation=single)
    told = made.predict(Query(query.controls[[control]].copy(), asked))
    assert np.isfinite(told.mean).all() and np.isnan(told.variance).all()


@pytest.mark.parametrize("name", BOTH)
def test_what_codes_cannot_say_is_refused(screen, name, request):
    dosed = request.getfixturevalue("training").cells.copy()
    dosed.obs["dose_um"] = np.arange(dosed.n_obs, dtype=float)
    with pytest.raises(NotApplicable, match="a code names what was perturbed, and not the dose"):
        MODELS[name](**SHORT[name]).fit(Training(dosed))


@pytest.mark.parametrize("name", BOTH)
def test_impossible_sizes_are_refused(training, name):
    for wrong, message in (
        ({"sizes": {"depth": 3}}, "unknown size 'depth'. Known: latent, hidden"),
        ({"sizes": {"latent": 0}}, "latent is 0; give a whole number from 1"),
        ({"batch_size": 0}, "batch_size is 0; give a whole number from 1"),
        ({"epochs": 0}, "epochs is 0; give a whole number from 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            MODELS[name](**wrong).fit(training)


@pytest.mark.parametrize(("name", "sizes"), [("discrepancy_vae", (105, 105)), ("sams_vae", (20, 200))])
def test_what_would_be_trained_is_told_with_latents_for_few_genes_and_for_many(training, name, sizes):
    told = json.loads(json.dumps(MODELS[name](epochs=7).describe(training)))
    assert told["epochs"] == 7 and told["seed"] == 0
    many = AnnData(sp.csr_matrix((3, 1000), dtype=np.float32), uns=training.cells.uns)
    large = MODELS[name]().describe(Training(many))
    assert (told["sizes"]["latent"], large["sizes"]["latent"]) == sizes


def test_without_counts_a_normal_stands_in_for_the_negative_binomial(training, query):
    cells = training.cells.copy()
    cells.uns["value_kind"], cells.X = "lognorm", cells.layers["lognorm"]
    model = MODELS["sams_vae"](**SHORT["sams_vae"])
    made = model.fit(Training(cells)).predict(query)
    assert model.describe(Training(cells))["likelihood"] == "normal"
    assert model.describe(training)["likelihood"] == "negative binomial"
    assert min(one.min() for one in made.cells) < 0 and (made.variance > 0).all()


def test_drawn_counts_lie_on_the_scale_of_the_cells(fitted, query):
    made = fitted["sams_vae"].predict(query)
    assert (np.concatenate(made.cells) >= 0).all()
    assert np.corrcoef(made.mean[0], query.mu0[0])[0, 1] > 0.9
