"""The counts that the Scores chapter draws live have the means it says they have."""

import numpy as np

from perturbook.pages.traps_counts import draw_cells, draw_effect, draw_levels, expected


def test_the_expected_profile_is_the_mean_of_very_many_cells():
    rng = np.random.default_rng(0)
    level, effect = draw_levels(rng, 60), 2 * draw_effect(rng, 60)
    cells = draw_cells(rng, level, effect, 20_000)
    error = cells.std(axis=0) / np.sqrt(len(cells))
    assert np.all(np.abs(expected(level, effect) - cells.mean(axis=0)) < 4.5 * error)


def test_the_expected_profile_leaves_out_no_mass_even_of_the_highest_genes():
    level = np.array([0.01, 1.0, 3000.0])
    wide = np.log1p(np.random.default_rng(0).negative_binomial(5, 5 / (5 + level), size=(200_000, 3)))
    np.testing.assert_allclose(expected(level, np.zeros(3)), wide.mean(axis=0), rtol=0.02)


def test_four_of_five_genes_do_not_change():
    effect = draw_effect(np.random.default_rng(0), 10_000)
    assert abs((effect == 0).mean() - 0.8) < 0.02
