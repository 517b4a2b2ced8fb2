"""Comparing whole distributions: kernels must not come from the method, and tests measure the generator."""

import numpy as np
import pytest

from perturbook.pages import traps_distribution


@pytest.fixture(scope="module")
def kernels():
    return traps_distribution.kernels(seed=0, n_cells=100)


def test_a_generator_that_sets_its_own_kernel_is_given_another_score(kernels):
    half = kernels.loc["right mean, half the spread"]
    assert half["generated cells"] > 1.3 * half["true cells"]
    assert half["true cells"] < half["true and generated cells"] < half["generated cells"]
    assert np.isnan(kernels.loc["right mean, one profile", "generated cells"])


def test_long_kernels_see_only_means_and_turn_the_order_around(kernels):
    half, control = kernels.loc["right mean, half the spread"], kernels.loc["control cells"]
    assert half["true cells"] > 2 * control["true cells"]
    assert half["20 times the true cells"] < control["20 times the true cells"] / 2
    assert (kernels["20 times the true cells"].abs() < kernels["true cells"].abs()).all()


def test_the_distance_of_equal_distributions_is_negative_about_half_the_time_and_zero_on_average():
    values = traps_distribution.equal_samples(seed=0, repeats=60)
    assert 0.3 < (values < 0).mean() < 0.7
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(60)


def test_where_nothing_changed_the_right_spread_finds_nothing_and_a_smaller_one_more_with_every_cell():
    share = traps_distribution.found_without_effect(seed=0, sizes=(25, 100, 400))
    share = share.pivot(index="n_cells", columns="spread", values="share")
    assert (share[1.0] < 0.01).all()
    assert (share[0.25] > 0.05).all() and share.loc[400, 0.0] > 0.5
    for spread in (0.0, 0.25, 0.5):
        assert share[spread].is_monotonic_increasing
    assert share.loc[400].is_monotonic_decreasing


def test_collapse_raises_recall_and_ruins_precision():
    table = traps_distribution.de_agreement_by_spread(seed=0)
    assert table.loc[0.25, "recall"] > table.loc[1.0, "recall"]
    assert table.loc[0.25, "precision"] < table.loc[1.0, "precision"] / 2
    assert table.loc[0.25, "genes called different"] > 2 * table.loc[1.0, "genes called different"]
    assert table["variance ratio"].to_list() == [1, 0.25, 0.0625]
