"""Planted programs: check 18 on a simulated stimulation, and worlds that are what they say."""

import numpy as np
import pytest

from perturbook.pages import planted_programs as planted


@pytest.fixture(scope="module")
def read():
    world, concepts = planted.ALONE
    return planted.Read.of(planted.World.of(0, **world), 0, **concepts)


def test_programs_that_go_together_are_switched_alike_and_others_are_not():
    def alike(together):
        active = planted.World.of(0, together).active
        return np.corrcoef(active[:, 1], active[:, 2])[0, 1], np.corrcoef(active[:, 1], active[:, 3])[0, 1]

    assert abs(alike(0.0)[0]) < 0.1 and alike(0.8)[0] > 0.7 and abs(alike(0.8)[1]) < 0.1
    world = planted.World.of(0, 0.8, 300)
    assert (world.planted.sum(axis=1) == planted.SIZE).all() and abs(world.active[:, 0].mean() - 0.5) < 0.1


def test_a_stimulated_cell_has_more_of_the_planted_genes(read):
    world = read.world
    more = world.values[world.active[:, 0]].mean(axis=0) - world.values[~world.active[:, 0]].mean(axis=0)
    assert more[world.planted[0]].min() > more[~world.planted.any(axis=0)].max()


def test_the_concept_of_a_simulated_stimulation_names_planted_genes_and_pairs_that_share_it_name_fewer(read):
    """Check 18 of the specification."""
    scored = {(arm, quantity): value for arm, quantity, value in read.scored(0)}
    assert scored["concept", "auroc"] >= 0.95
    assert scored["attribution", "top 10"] >= 8 and scored["attribution", "alike"] < 0.5
    assert scored["active", "top 10"] < scored["attribution", "top 10"] and scored["active", "alike"] > 0.9
    assert scored["active", "auprc"] < scored["attribution", "auprc"] and scored["de_truth", "top 10"] == 10
