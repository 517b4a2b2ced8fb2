"""A sum of singles drawn towards what PerturbedVAE says of them: how far, and what is left where it says nothing of use."""

import numpy as np
import pandas as pd
import pytest
from hand_made import cells

from perturbook.models import Prediction, Query, Training
from perturbook.models.additive_pairs import AdditivePairs
from perturbook.models.perturbed_vae.shrunken import Shrunken

GENES = ("a", "b", "c")
N = 30


class Says:
    """Stands for PerturbedVAE: says of every perturbation the mean that it was given."""

    def __init__(self, means):
        self.means, self.seen = means, None

    def fit(self, train):
        self.seen = set(train.cells.obs_names)
        return self

    def predict(self, query):
        return Prediction(np.array([self.means[name] for name in query.conditions["perturbation"]]))


@pytest.fixture(scope="module")
def screen():
    """Thirty noisy cells of control and of each single; in every third of them the controls read otherwise."""
    rng = np.random.default_rng(0)
    true = {"control": np.full(8, 3.0)} | {gene: 3 + rng.normal(0, 1, 8) for gene in GENES}
    rows = [("A", name, np.nan) for name in true for _ in range(N)]
    values = np.concatenate([rng.normal(mean, 0.5, (N, 8)) for mean in true.values()])
    return cells(rows, np.maximum(values, 0.01)), true


def ask(screened, *names, keep=slice(None)):
    controls = screened[screened.obs["is_control"].to_numpy()][keep].copy()
    return Query(controls, pd.DataFrame({"context": "A", "perturbation": names, "dose_um": np.nan}))


def treated(screened, keep):
    """All treated cells, and the controls in `keep`."""
    rows = np.flatnonzero(~screened.obs["is_control"].to_numpy())
    return screened[np.r_[np.flatnonzero(screened.obs["is_control"].to_numpy())[keep], rows]].copy()


def aside(screened):
    """A third of the cells of every single."""
    single = ~screened.obs["is_control"].to_numpy()
    return frozenset(screened.obs_names[single & (np.arange(screened.n_obs) % 3 == 0)])


def test_without_weight_it_is_the_additive_floor_even_where_fitting_was_shown_fewer_controls(screen):
    screened, true = screen
    query = ask(screened, "a+b", "b+c")
    floor = AdditivePairs().fit(Training(screened)).predict(query).mean
    blind = Training(treated(screened, slice(0, 10)))
    made = Shrunken(Says(true), weight=0.0).fit(blind).predict(query)
    assert made.mean == pytest.approx(floor, abs=1e-12)


def test_with_all_weight_it_is_the_sum_of_what_the_model_says(screen):
    screened, true = screen
    query = ask(screened, "a+b")
    made = Shrunken(Says(true), weight=1.0).fit(Training(screened)).predict(query)
    assert made.mean[0] == pytest.approx(true["a"] + true["b"] - query.mu0[0])
    assert made.cells[0].mean(axis=0) == pytest.approx(made.mean[0]) and len(made.cells[0]) == N


def test_the_weight_is_least_squares_on_cells_that_neither_model_nor_means_have_seen(screen):
    screened, true = screen
    valid = aside(screened)
    model = Shrunken(Says(true)).fit(Training(screened, valid))
    assert model.inner.seen == set(screened.obs_names) - valid

    def mean(gene, held):
        rows = (screened.obs["perturbation"] == gene).to_numpy() & (screened.obs_names.isin(valid) == held)
        return screened.layers["lognorm"][rows].toarray().astype(float).mean(axis=0)

    move = np.array([true[gene] - mean(gene, False) for gene in GENES])
    left = np.array([mean(gene, True) - mean(gene, False) for gene in GENES])
    assert model.chosen == pytest.approx(np.clip((move * left).sum() / (move**2).sum(), 0, 1), abs=1e-6)
    assert model.chosen > 0.5  # the truth is a better guess than twenty cells


def test_a_model_that_is_far_off_is_given_next_to_no_weight(screen):
    screened, true = screen
    wrong = {gene: mean + np.random.default_rng(1).normal(0, 3, 8) for gene, mean in true.items()}
    assert Shrunken(Says(wrong)).fit(Training(screened, aside(screened))).chosen < 0.05


def test_without_validation_cells_of_singles_the_sum_stays_as_it_was_measured(screen):
    screened, true = screen
    assert Shrunken(Says(true)).fit(Training(screened)).chosen == 0.0
    controls = frozenset(screened.obs_names[screened.obs["is_control"].to_numpy()][:5])
    assert Shrunken(Says(true)).fit(Training(screened, controls)).chosen == 0.0


def test_a_double_of_which_a_single_was_never_measured_is_not_defined(screen):
    screened, true = screen
    made = Shrunken(Says(true), weight=0.5).fit(Training(screened)).predict(ask(screened, "a+x", "a+b"))
    assert np.isnan(made.mean[0]).all() and np.isfinite(made.mean[1]).all()
