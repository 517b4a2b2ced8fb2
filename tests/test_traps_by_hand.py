"""Traps of arrays that fit on paper: swapped arguments, ties, and the perturbed gene itself."""

import numpy as np
import pytest

from perturbook.pages import traps_by_hand


def test_r2_in_the_right_order_swapped_and_clipped_has_the_values_computed_by_hand():
    # truth (0,1,2,3), prediction (0,0,2,4): error 2; spread of the truth 5, of the prediction 11
    right, reverse = traps_by_hand.swapped().to_dict("records")
    assert right["R²"] == pytest.approx(1 - 2 / 5) and right["swapped"] == pytest.approx(1 - 2 / 11)
    assert right["clipped"] == right["R²"] and right["swapped and clipped"] == right["swapped"]
    # the truth reversed: error 9 + 1 + 1 + 9 = 20, spread 5 on both sides
    assert reverse["R²"] == reverse["swapped"] == pytest.approx(-3)
    assert reverse["clipped"] == reverse["swapped and clipped"] == 0


@pytest.mark.parametrize("seed", [0, 7])
def test_a_constant_predictor_has_half_all_or_slightly_more_than_half_by_how_ties_count(seed):
    table = traps_by_hand.ties(seed)
    np.testing.assert_allclose(table["nir"], 0.5, atol=1e-12)
    np.testing.assert_allclose(table["rank_pred"], 1, atol=1e-12)
    np.testing.assert_allclose(table["pds"], 0.5 + 1 / (2 * table.index), atol=1e-12)
    assert table.loc[20, "pds"] == pytest.approx(0.525)


def test_leaving_out_only_its_own_gene_makes_ignorance_perfect_and_leaving_out_all_makes_it_fair():
    table = traps_by_hand.own_gene(0)
    assert table.loc["which gene is its own", "none"] == 1
    assert table.loc["nothing", "none"] == pytest.approx(0.525)
    assert table.loc["nothing", "its own"] == 1
    fair = table["those of all conditions"]
    assert fair["nothing"] == fair["which gene is its own"] == pytest.approx(0.525)
    assert fair["the other genes, with noise of the same size"] > 0.95
