"""The variance ratio behind two published errors."""

import numpy as np
import pytest

from perturbook.evaluation.cell_profile import rel_rmse_cell
from perturbook.evaluation.mean_profile import rel_rmse_mean
from perturbook.pages import traps_published, traps_spread


def test_the_published_table_implies_no_variance_at_all_for_perturbedvae():
    cell, mean = traps_published.TABLE["RMSE over cells"], traps_published.TABLE["RMSE of means"]
    sigma2, ratio = traps_published.implied(cell, mean, cell["additive"], mean["additive"])
    assert sigma2 == pytest.approx(0.189, abs=0.002)
    assert ratio["GEARS"] == pytest.approx(0.716, abs=0.002)
    assert ratio["PerturbedVAE"] == pytest.approx(-0.004, abs=0.002)
    assert ratio["additive"] == pytest.approx(0, abs=1e-12)
    assert traps_published.table()["implied variance ratio"].equals(ratio.rename("implied variance ratio"))


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0, 1.7])
def test_the_variance_ratio_of_one_condition_is_recovered_exactly(ratio):
    rng = np.random.default_rng(0)
    y, v = rng.normal(2, 1, (1, 40)), rng.uniform(0.1, 2, (1, 40))
    bare, model = y + rng.normal(0, 0.1, y.shape), y + rng.normal(0, 0.3, y.shape)

    def errors(predicted, variance):
        return rel_rmse_cell(y, v, np.inf, predicted, variance)[0], rel_rmse_mean(y, predicted)[0]

    sigma2, found = traps_published.implied(*errors(model, ratio * v), *errors(bare, 0 * v))
    assert found == pytest.approx(ratio, abs=1e-10)
    assert sigma2 == pytest.approx(v.sum() / (v.sum() + (y**2).sum()))


def test_averages_over_simulated_doubles_give_the_ratio_of_the_sampler_back():
    board = traps_spread.scoreboard(seed=0, n_doubles=4, n_cells=400, n_genes=400)
    errors = board[["rel_rmse_cell", "rel_rmse_mean"]]
    for name, ratio in (("oracle sampler", 1), ("oracle mean", 0), ("control cells", 1)):
        found = traps_published.implied(*errors.loc[name], *errors.loc["additive mean"])[1]
        assert found == pytest.approx(ratio, abs=0.06), name
