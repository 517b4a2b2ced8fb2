"""On the page of simulated pairs, interactions are predicted by what learns from other pairs, and additive doubles are not lost."""

import pytest

from perturbook import data
from perturbook.evaluation.intervals import bootstrap_difference
from perturbook.pages.kept import folder_of
from perturbook.pages.standings import read_scores

FLOORS = ("additive_pairs", "additive_clipped", "additive_shrunken", "additive_ridge")
"""The floors that count against a gain. Source: perturbedvae.md section 16.1."""


@pytest.fixture(scope="module")
def errors():
    """RMSE of means of the deposit, test doubles x methods, and the planted class of each double."""
    scores, _ = read_scores(folder_of("simulated-pairs", "", "scores.csv.gz"))
    rows = scores[scores["metric"] == "rmse_mean"].pivot(index="condition", columns="method", values="value")
    truth = data.load("simulated-pairs", expectation=False).uns["truth"]
    return rows, truth["doubles"]["interaction_class"].loc[rows.index]


def difference(errors, floor, planted):
    rows, classes = errors
    keep = ((classes != "additive") == planted).to_numpy()
    return bootstrap_difference(rows["anchored_residual"][keep].to_numpy(), rows[floor][keep].to_numpy())


@pytest.mark.parametrize("floor", FLOORS)
def test_planted_interactions_are_predicted_better_than_by_any_additive_floor(errors, floor):
    found = difference(errors, floor, planted=True)
    assert found.n_defined > 200 and found.high < 0


@pytest.mark.parametrize("floor", FLOORS)
def test_additive_doubles_are_not_lost(errors, floor):
    found = difference(errors, floor, planted=False)
    assert found.n_defined > 100 and found.low <= 0
