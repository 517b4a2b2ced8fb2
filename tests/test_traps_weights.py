"""Weighted errors: few genes carry them, and the mean of the other drugs gets no credit."""

import numpy as np
import pytest

from perturbook import data
from perturbook.evaluation.differential import welch_t
from perturbook.evaluation.weighted import effect_weights
from perturbook.pages import traps_weights


@pytest.fixture(scope="module")
def cells():
    return data.load("simulated-drugs", size="small", expectation=False)


@pytest.fixture(scope="module")
def profiles(cells):
    return data.pseudobulk(cells)


def test_a_few_genes_carry_most_of_the_weight(profiles):
    shares = traps_weights.weight_shares(profiles)
    last = shares.groupby("against")["share"].last()
    np.testing.assert_allclose(last, 1)
    tenth = shares[shares["genes"] <= 12].groupby("against")["share"].last()
    assert tenth["all genes alike"] == pytest.approx(0.1, abs=0.02)
    assert tenth["the rest"] > 0.4 and tenth["control"] > 0.4
    effective = shares.groupby("against")["effective"].first()
    assert effective["all genes alike"] == 120 and effective["the rest"] < 60


def test_the_rest_is_all_other_treated_cells_of_the_line_and_no_control(cells, profiles):
    found = traps_weights._weights(profiles)["the rest"]
    obs = cells.obs
    keys = profiles.obs[~profiles.obs["is_control"]]
    first = keys[keys["dose_um"] == 10].index[0]
    one = keys.loc[first]
    mine = (
        (obs["context"] == one["context"])
        & (obs["perturbation"] == one["perturbation"])
        & (obs["dose_um"] == 10)
    )
    rest = (obs["context"] == one["context"]) & ~obs["is_control"] & ~mine
    x = cells.layers["lognorm"].toarray().astype(float)
    a, b = x[mine.to_numpy()], x[rest.to_numpy()]
    t = welch_t(
        a.mean(axis=0)[None],
        a.var(axis=0, ddof=1)[None],
        np.array([len(a)]),
        b.mean(axis=0),
        b.var(axis=0, ddof=1),
        len(b),
    )
    np.testing.assert_allclose(found[0], effect_weights(t)[0], atol=1e-9)


def test_other_genes_are_heavy_against_control_than_against_the_rest(profiles):
    assert 0.3 < traps_weights.same_heavy_genes(profiles) < 0.95
    assert traps_weights.same_heavy_genes(profiles, k=120) == 1


def test_the_mean_of_the_others_has_no_credit_and_one_number_in_all_genes_brings_it_to_exactly_zero(profiles):
    table = traps_weights.weighted_scores(profiles)
    moved = table.loc["the same, moved by one number in all genes"]
    assert table.loc["mean of the other drugs", "r2w_delta"] < 0
    assert moved["r2w_delta"] == pytest.approx(0, abs=1e-12)
    assert moved["wmse"] < table.loc["mean of the other drugs", "wmse"]
    assert moved["rmse_mean"] > table.loc["mean of the other drugs", "rmse_mean"]
