"""Ceilings where the oracle is known: projections from halves come true, and the halves are no upper bound."""

import numpy as np
import pytest

from perturbook.pages import traps_ceilings


@pytest.fixture(scope="module")
def limits():
    table = traps_ceilings.ceilings(seed=0, n_conditions=10, sizes=(20, 100))
    return table.set_index(["n_cells", "ceiling", "kind"])["value"]


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("ceiling", ["full duplicate", "oracle"])
def test_what_the_halves_project_is_what_a_second_experiment_and_the_oracle_score(limits, n, ceiling):
    assert limits[n, ceiling, "projected"] == pytest.approx(limits[n, ceiling, "measured"], abs=0.03)


def test_half_a_duplicate_is_below_a_whole_one_and_that_below_the_oracle(limits):
    for n in (20, 100):
        half, full, oracle = (
            limits[n, name, "measured"] for name in ("half duplicate", "full duplicate", "oracle")
        )
        assert half < full < oracle


def test_without_certain_genes_the_interpolated_duplicate_knows_nothing_of_the_condition(limits):
    gap = {
        n: limits[n, "half duplicate", "measured"] - limits[n, "interpolated duplicate", "measured"]
        for n in (20, 100)
    }
    assert gap[20] > 0.05 and abs(gap[100]) < 0.05


def test_an_interpolated_half_is_the_reference_where_no_gene_is_certain_and_the_half_where_all_are():
    rng = np.random.default_rng(0)
    cells, controls = rng.normal(0, 1, (20, 30)), rng.normal(0, 1, (20, 30))
    reference = np.full(30, 7.0)
    a, _, drawn = traps_ceilings._halves(np.random.default_rng(1), cells, controls, reference)
    far, _, kept = traps_ceilings._halves(np.random.default_rng(1), cells + 50, controls, reference)
    np.testing.assert_allclose(kept, far, atol=1e-6)
    assert np.abs(drawn - a).min() > 1
