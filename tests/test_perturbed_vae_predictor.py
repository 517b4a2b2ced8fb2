"""PerturbedVAE asked about cells: codes, generated cells, the interaction contrast, and what it cannot say."""

from collections import OrderedDict

import numpy as np
import pytest
import torch

from perturbook import data, splits
from perturbook.errors import ConfigError, NotApplicable
from perturbook.models import MODELS, Query, Training
from perturbook.models.perturbed_vae import PerturbedVAE, predictor
from perturbook.models.perturbed_vae.codes import codes, genes_seen
from perturbook.models.perturbed_vae.contrast import Contrast
from perturbook.models.perturbed_vae.generate import Start, contrast, generate
from perturbook.models.perturbed_vae.predictor import Predictor, cells_of
from perturbook.models.training import History, recalled

SHORT = {"epochs": 2, "switches": {"d_nu": 3, "d_iota": 4, "hidden": 16}}


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
    return Predictor(**SHORT).fit(training)


def by_hand():
    """The worked example: two responsive latents that are the two genes, no invariant part in them."""
    model = PerturbedVAE(2, 2, d_nu=2, d_iota=1, hidden=2)
    with torch.no_grad():
        for one in model.mechanisms.parameters():
            one.zero_()
        model.mechanisms.f_nn.weight.copy_(torch.tensor([[0.5, 0.2]]))
        model.mechanisms.f_mu.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, 0.0]]))
    model.decode = lambda zn, zi: zn
    return model


def test_the_contrast_of_the_worked_example():
    model = by_hand()
    start = Start(torch.zeros(4, 1), torch.zeros(4, 2), None, 0, "mean")
    both = generate(model, start, np.ones(2))
    assert both == pytest.approx(np.tile([3.0, 2.1], (4, 1)), abs=1e-6)
    assert contrast(model, start, np.eye(2)) == pytest.approx([0.0, 1.2], abs=1e-6)


@pytest.mark.parametrize("parts", [np.eye(5)[:1], np.zeros((0, 5))], ids=["single", "control"])
def test_a_single_gene_and_control_have_no_interaction(parts):
    model = PerturbedVAE(8, 5, d_nu=3, d_iota=4, hidden=16)
    start = Start.of(model, np.random.default_rng(0).normal(size=(50, 8)), "sample", 0)
    assert np.abs(contrast(model, start, parts)).max() < 1e-6


def test_codes_name_genes_and_nothing_else():
    genes = genes_seen(["control", "B+C", "A"])
    assert genes == ["A", "B", "C"]
    made = codes(["control", "A", "A+C", "A+Z"], genes)
    assert made[:3].tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 1]] and np.isnan(made[3]).all()


def test_training_cells_carry_the_code_of_their_perturbation(training):
    cells, genes = cells_of(training, "random", False)
    adata = training.cells[np.argsort(training.cells.obs_names.to_numpy(str))]
    for i in range(0, adata.n_obs, 97):
        own = {gene for gene, has in zip(genes, cells.codes[cells.environment[i]], strict=True) if has}
        name = adata.obs["perturbation"].astype(str).iloc[i]
        assert own == (set() if name == "control" else set(name.split("+")))
    assert np.abs(cells.x - adata.layers["lognorm"]).max() < 1e-6


def test_a_prediction_is_a_cell_per_control_cell_and_does_not_depend_on_what_else_is_asked(fitted, query):
    made = fitted.predict(query)
    assert made.mean.shape == (len(query.conditions), query.controls.n_vars)
    assert {len(one) for one in made.cells} == {query.controls.n_obs}
    alone = fitted.predict(Query(query.controls[::-1].copy(), query.conditions.iloc[[2]]))
    assert np.array_equal(alone.mean[0], made.mean[2])
    assert (made.variance > 0).all()


def test_two_trainings_give_equal_predictions_and_another_seed_does_not(fitted, training, query):
    made = fitted.predict(query).mean
    assert np.array_equal(Predictor(**SHORT).fit(training).predict(query).mean, made)
    assert not np.allclose(Predictor(**SHORT, seed=1).fit(training).predict(query).mean, made)


def test_the_mode_of_means_has_less_spread_and_no_noise(training, query):
    drawn, means = (
        Predictor(**{**SHORT, "switches": {**SHORT["switches"], "likelihood": "gaussian_gene"}}, mode=mode)
        .fit(training)
        .predict(query)
        for mode in ("sample", "mean")
    )
    assert means.variance.mean() < 0.1 * drawn.variance.mean()


def test_counts_are_drawn_on_the_scale_of_the_cells(training, query):
    model = Predictor(epochs=4, switches={**SHORT["switches"], "likelihood": "nb"})
    made = model.fit(training).predict(query)
    assert (np.concatenate(made.cells) >= 0).all() and (np.concatenate(made.cells) == 0).any()
    assert np.corrcoef(made.mean[0], query.mu0[0])[0, 1] > 0.5


def test_a_gene_never_perturbed_in_training_cannot_be_asked_about(screen, training, query):
    cells, _ = screen
    gene = str(query.conditions["perturbation"].iloc[0]).split("+")[0]
    without = ~np.array([gene in name.split("+") for name in training.cells.obs["perturbation"].astype(str)])
    made = Predictor(**SHORT).fit(Training(training.cells[without].copy())).predict(query)
    has = np.array([gene in name.split("+") for name in query.conditions["perturbation"].astype(str)])
    assert np.isnan(made.mean[has]).all() and np.isfinite(made.mean[~has]).all()
    with pytest.raises(NotApplicable, match="none of the conditions asked about is defined"):
        Predictor(**SHORT).fit(Training(training.cells[without].copy())).predict(
            Query(query.controls, query.conditions[has])
        )


def test_one_control_cell_one_treated_cell_and_a_gene_that_never_varies_are_no_obstacle(training, query):
    obs = training.cells.obs
    first = [group.index[0] for _, group in obs.groupby("perturbation", observed=True)]
    few = training.cells[first].copy()
    few.layers["lognorm"] = few.layers["lognorm"].multiply(np.arange(few.n_vars) > 0).tocsr()
    made = Predictor(**SHORT).fit(Training(few)).predict(query)
    assert np.isfinite(made.mean).all()


def test_what_cannot_be_trained_says_why(training):
    def refused(change, said):
        cells = training.cells.copy()
        cells = change(cells)
        with pytest.raises(NotApplicable, match=said):
            Predictor(**SHORT).fit(Training(cells))

    refused(lambda cells: cells[cells.obs["is_control"].to_numpy(bool)].copy(), "no treated cell")
    refused(lambda cells: cells[~cells.obs["is_control"].to_numpy(bool)].copy(), "no control cell of world-1")

    def dosed(cells):
        cells.obs["dose_um"] = np.where(np.arange(cells.n_obs) % 2, 1.0, 10.0)
        return cells

    refused(dosed, "and not the dose")
    training.cells.uns["value_kind"], kept = "log_normalised", training.cells.uns["value_kind"]
    try:
        with pytest.raises(NotApplicable, match="hold no counts"):
            Predictor(epochs=1, switches={"likelihood": "nb"}).fit(training)
    finally:
        training.cells.uns["value_kind"] = kept
    with pytest.raises(ConfigError, match="mode is 'median'"):
        Start.of(PerturbedVAE(8, 5), np.zeros((2, 8)), "median", 0)


def test_what_samples_and_what_averages_is_trained_once(training, monkeypatch):
    made = []
    monkeypatch.setattr(predictor, "train_model", lambda *_, **given: made.append(given) or History())
    monkeypatch.setattr(recalled, "_KNOWN", OrderedDict())
    for name in ("perturbed_vae", "perturbed_vae_mean"):
        MODELS[name](**SHORT).fit(training)
    assert len(made) == 1 and made[0]["epochs"] == 2
    MODELS["perturbed_vae_unaligned"](epochs=2).fit(training)
    Predictor(**SHORT, pairing="nearest").fit(training)
    Predictor(**{**SHORT, "epochs": 3}).fit(training)
    few = training.cells[: training.cells.n_obs - 1].copy()
    Predictor(**SHORT).fit(Training(few))
    assert len(made) == 5


@pytest.mark.parametrize("name", ["perturbed_vae_transport", "perturbed_vae_scale"])
def test_calibrated_cells_have_the_means_of_the_model_and_the_spread_of_cells(name, training, query, fitted):
    made = MODELS[name](**SHORT).fit(training).predict(query)
    assert np.array_equal(made.mean, fitted.predict(query).mean)
    for mean, cells in zip(made.mean, made.cells, strict=True):
        assert cells.min() >= 0 and cells.mean(axis=0) == pytest.approx(np.maximum(mean, 0), abs=1e-6)
    spread = (
        training.cells[training.cells.obs["is_control"].to_numpy(bool)]
        .layers["lognorm"]
        .toarray()
        .var(axis=0)
    )
    assert 0.3 < made.variance.mean() / spread.mean() < 2  # clipping takes some of it
    assert made.variance.mean() > 5 * fitted.predict(query).variance.mean()


def test_genes_that_raise_the_variance_alone_raise_it_together(training, query):
    plain, other = (
        MODELS[f"perturbed_vae_{name}"](**SHORT).fit(training).predict(query)
        for name in ("transport", "scale")
    )
    assert not np.allclose(plain.variance, other.variance)
    with pytest.raises(ConfigError, match="spread is 'jitter'. Allowed: transport, scale"):
        MODELS["perturbed_vae"](spread="jitter", **SHORT).fit(training)


def test_without_its_interaction_the_contrast_is_the_additive_floor(training, query):
    floor = MODELS["additive_pairs"]().fit(training).predict(query).mean
    made = Contrast(Predictor(**SHORT), kappa=0.0).fit(training).predict(query)
    assert np.abs(made.mean - floor).max() < 1e-12
    whole = Contrast(Predictor(**SHORT), kappa=1.0).fit(training)
    assert whole.predict(query).mean == pytest.approx(floor + whole.interaction(query))


@pytest.mark.parametrize("name", ["perturbed_vae_contrast", "perturbed_vae_shrunken"])
def test_the_sum_is_told_from_the_controls_that_are_shown_though_fewer_were_fitted(name, training, query):
    control = np.flatnonzero(training.cells.obs["is_control"].to_numpy(bool))
    kept = np.delete(np.arange(training.cells.n_obs), control[::2])
    fewer = Training(training.cells[kept].copy(), training.valid)
    shown = Query(training.cells[control].copy(), query.conditions)
    floor = MODELS["additive_pairs"]().fit(training).predict(shown).mean
    made = MODELS[name](**SHORT).fit(fewer)
    made.inner.chosen = 0.0  # of the interaction, or of the model's singles
    assert np.abs(made.predict(shown).mean - floor).max() < 1e-9


def test_the_weight_of_the_interaction_is_least_squares_on_validation_doubles(training, query):
    made = Contrast(Predictor(**SHORT)).fit(training)
    assert 0 <= made.chosen <= 1.5
    cells = training.cells
    obs = cells.obs
    names = obs.loc[sorted(training.valid), "perturbation"].astype(str)
    shown = Training(cells[obs.index.isin(training.valid) | obs["is_control"].to_numpy(bool)].copy())
    asked = shown.profiles.obs[~shown.profiles.obs["is_control"].to_numpy(bool)]
    assert set(asked["perturbation"].astype(str)) == set(names)
    again = Query(
        cells[obs["is_control"].to_numpy(bool)].copy(), asked[["context", "perturbation", "dose_um"]]
    )
    truth = shown.profiles.mean[~shown.profiles.obs["is_control"].to_numpy(bool)]

    def error(kappa):
        floor = MODELS["additive_pairs"]().fit(training).predict(again).mean
        return ((floor + kappa * made.interaction(again) - truth) ** 2).sum()

    assert error(made.chosen) <= min(error(made.chosen + 0.01), error(max(0, made.chosen - 0.01)))


def test_without_validation_doubles_the_interaction_counts_whole(training):
    assert Contrast(Predictor(**SHORT)).fit(Training(training.cells)).chosen == 1.0


def test_learned_noise_begins_at_the_variance_of_the_cells_and_leaves_out_what_latents_explain(
    training, query
):
    fitted = Predictor(
        **{**SHORT, "epochs": 10, "switches": {**SHORT["switches"], "likelihood": "gaussian_gene"}}
    ).fit(training)
    total = training.cells.layers["lognorm"].toarray().var(axis=0)
    noise = fitted.model.likelihood.log_variance.detach().exp().numpy()
    assert 0.5 < (noise / np.maximum(total, 1e-4)).mean() < 1.1
    own = (
        training.cells[training.cells.obs["perturbation"].astype(str) != "control"]
        .layers["lognorm"]
        .toarray()
    )
    assert 0.7 < fitted.predict(query).variance.mean() / own.var(axis=0).mean() < 1.3
