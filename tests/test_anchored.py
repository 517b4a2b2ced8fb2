"""Anchored decoding: it starts at the sum, learns what pairs do beyond it, and says nothing where a single is missing."""

import numpy as np
import pytest
import torch
from small_world import small_world

from perturbook.data.gene_labels import genes_of
from perturbook.errors import NotApplicable
from perturbook.models import MODELS, Query, Training
from perturbook.models.perturbed_vae import anchored
from perturbook.models.perturbed_vae.anchored import Anchored, Residual
from perturbook.models.perturbed_vae.predictor import Predictor

SHORT = {"epochs": 2, "switches": {"d_nu": 3, "d_iota": 4, "hidden": 16}}


@pytest.fixture(scope="module")
def pairs():
    return small_world()


@pytest.fixture(scope="module")
def fitted(pairs):
    return Anchored().fit(pairs[0])


def test_an_untrained_residual_is_zero_so_that_the_first_prediction_is_the_sum(pairs, monkeypatch):
    network = Residual(np.zeros(9), np.ones(9), 0.3, seed=0)
    assert (network(torch.randn(20, 9)) == 0).all()
    monkeypatch.setattr(anchored, "fit", lambda *_, **__: None)
    training, query, *_ = pairs
    made = Anchored().fit(training).predict(query).mean
    assert np.array_equal(made, MODELS["additive_shrunken"]().fit(training).predict(query).mean)


def test_what_pairs_do_beyond_their_sum_is_learned_from_other_pairs(fitted, pairs):
    training, query, true, classes = pairs
    made, floor = fitted.predict(query).mean, MODELS["additive_shrunken"]().fit(training).predict(query).mean
    planted = classes != "additive"
    error = [np.sqrt(((one - true)[planted] ** 2).mean()) for one in (made, floor)]
    assert error[0] < 0.95 * error[1] and 0 < fitted.kappa <= 1.5


def test_a_single_is_predicted_by_its_shrunken_effect_alone(fitted, pairs):
    training, query, *_ = pairs
    gene = genes_of(str(query.conditions["perturbation"].iloc[0]))[0]
    asked = query.conditions.iloc[:1].assign(perturbation=gene)
    made = fitted.predict(Query(query.controls, asked)).mean[0]
    assert made == pytest.approx(query.mu0[0] + fitted.sum.singles["world-1"][gene])


def test_two_fits_are_equal_and_a_prediction_does_not_depend_on_what_else_is_asked(fitted, pairs):
    training, query, *_ = pairs
    made = fitted.predict(query).mean
    assert np.array_equal(Anchored().fit(training).predict(query).mean, made)
    alone = fitted.predict(Query(query.controls, query.conditions.iloc[[4]])).mean[0]
    assert alone == pytest.approx(made[4], abs=1e-6)


def test_a_missing_single_leaves_its_doubles_undefined(pairs):
    training, query, *_ = pairs
    gene = genes_of(str(query.conditions["perturbation"].iloc[0]))[0]
    without = (training.cells.obs["perturbation"].astype(str) != gene).to_numpy()
    made = Anchored().fit(Training(training.cells[without].copy(), training.valid)).predict(query).mean
    has = np.array([gene in genes_of(str(name)) for name in query.conditions["perturbation"]])
    assert np.isnan(made[has]).all() and np.isfinite(made[~has]).all()


def test_few_doubles_are_refused_and_without_validation_doubles_the_residual_counts_whole(pairs):
    training, *_ = pairs
    names = training.cells.obs["perturbation"].astype(str)
    singles = training.cells[(~names.str.contains("+", regex=False)).to_numpy()].copy()
    with pytest.raises(NotApplicable, match="holds 0 doubles of two seen singles; 8 are needed"):
        Anchored().fit(Training(singles))
    assert Anchored().fit(Training(training.cells)).kappa == 1.0


def test_responsive_latents_can_be_read_besides_the_anchors(pairs):
    training, query, *_ = pairs
    made = Anchored(inner=Predictor(**SHORT)).fit(training)
    assert made._features("world-1", str(query.conditions["perturbation"].iloc[0])).shape == (120, 9 + 3)
    assert np.isfinite(made.predict(query).mean).all()
