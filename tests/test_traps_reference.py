"""What a shared reference does to a correlation, on cells without any effect and on a shared response."""

import numpy as np
import pytest

from perturbook import data
from perturbook.errors import ConfigError
from perturbook.pages import traps, traps_reference


@pytest.fixture(scope="module")
def cells():
    return data.load("simulated-drugs", size="small", expectation=False)


def test_shared_controls_correlate_as_n_over_n_plus_n0_and_split_ones_do_not(cells):
    null = traps_reference.shared_control(cells, n_treated=10, repeats=40, seed=0)
    mean = null.groupby(["controls", "n_control"])[["value", "expected"]].mean()
    np.testing.assert_allclose(mean["value"], mean["expected"], atol=0.08)
    assert mean.loc[("same cells", 10), "expected"] == 0.5


def test_replicates_larger_than_the_controls_are_refused(cells):
    with pytest.raises(ConfigError, match=r"n_treated=21 must lie in 2..20: a line has 60 controls"):
        traps_reference.shared_control(cells, n_treated=21, repeats=1, seed=0)


def test_the_mean_of_other_drugs_scores_against_control_and_is_undefined_against_the_centroid(cells):
    frame = traps_reference.shared_response(cells, data.pseudobulk(cells), seed=0)
    value = frame.groupby(["predictor", "reference"])["value"].agg(["mean", "count"])
    assert value.loc[("mean of the other drugs", "control, split cells"), "mean"] > 0.2
    assert value.loc[("mean of the other drugs", "training centroid"), "count"] == 0
    assert value.loc[("no change", "control, same cells"), "count"] == 0
    assert value.loc[("no change", "control, split cells"), "count"] == 0
    assert value.loc[("same drug, lower dose", "training centroid"), "mean"] > 0.2


def test_results_do_not_depend_on_the_order_of_cells(cells):
    shuffled = cells[np.random.default_rng(0).permutation(cells.n_obs)].copy()
    for f in (
        lambda a: traps_reference.shared_control(a, 10, 3, 0)["value"],
        lambda a: traps_reference.shared_response(a, data.pseudobulk(a), 0)["value"],
    ):
        np.testing.assert_allclose(f(shuffled), f(cells), atol=1e-12)


def test_control_cells_are_those_of_each_line_in_the_order_of_their_names(cells):
    controls = traps_reference.control_cells(cells)
    assert {name: len(x) for name, x in controls.items()} == dict.fromkeys(
        cells.obs["context"].cat.categories, 60
    )
    first = sorted(cells.obs_names[(cells.obs["context"] == "line-1") & cells.obs["is_control"]])[0]
    np.testing.assert_allclose(controls["line-1"][0], cells[first].layers["lognorm"].toarray()[0])
    assert traps.treated(data.pseudobulk(cells))[1].shape[1] == controls["line-1"].shape[1]
