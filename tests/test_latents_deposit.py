"""The deposits of the latents study, as the page reads them: complete, and the sentences follow from them."""

import numpy as np
import pytest

from perturbook.pages import latents_deposit, latents_simulated
from perturbook.pages import latents_findings as findings
from perturbook.pages.latents import ARMS
from perturbook.pages.latents_compared import agreement


@pytest.fixture(scope="module")
def rows():
    return latents_deposit.stored()


def test_the_deposit_has_five_seeds_and_nine_permutations_of_every_effect_and_edge(rows):
    found = latents_deposit.ensemble(rows, "paired")
    seeds, targets, size = found.effects.shape
    assert (seeds, targets, size) == (ARMS["paired"].seeds, 18, 6) == (5, 18, 6)
    assert np.isfinite(found.effects).all() and not np.triu(found.edges[0]).any()
    assert {len(one.null) for one in agreement(rows).values()} == {9}
    assert {len(one.pairs) for one in agreement(rows).values()} == {10}


def test_every_sentence_names_the_side_on_which_its_number_lies(rows):
    for key, one in agreement(rows).items():
        said = findings.compared(one, key)
        assert ("no better than the null" in said) == bool((one.null >= one.pairs.mean()).any())
    u = findings.probe_verdict(rows)
    assert ("The invariant latents are not invariant" in u) != (
        "cannot be read from the invariant latents in any" in u
    )


def test_the_simulated_world_is_found_with_twins_and_not_with_strangers():
    stored = latents_simulated.stored()
    assert set(stored["measure"]) == set(latents_simulated.MEASURES)
    mean = stored.groupby(["arm", "measure"])["value"].mean()
    assert mean["twins", "invariant"] > 0.9 > mean["random", "invariant"]
    assert mean["twins", "mcc"] > mean["random", "mcc"]
