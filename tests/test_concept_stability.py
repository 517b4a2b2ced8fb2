"""Stability over trainings: identity is 1, chance is chance, and different spaces are matched by what they do to cells."""

import numpy as np
import pytest
import torch

from perturbook.concepts.atom_matching import chance_cosine
from perturbook.concepts.stability import activation_agreement, atom_agreement, matched_correlations
from perturbook.errors import ConfigError, ShapeError

RNG = np.random.default_rng(0)
ATOMS = RNG.standard_normal((40, 12))


def test_the_same_atoms_in_another_order_agree_wholly():
    found = atom_agreement([ATOMS, torch.from_numpy(ATOMS[::-1].copy()), ATOMS[RNG.permutation(40)]])
    assert found.means.shape == (3,) and found.mean == pytest.approx(1) and found.sd == pytest.approx(0)
    assert found.alike == found.same == 1 and found.beyond_chance == pytest.approx(1)


def test_random_atoms_agree_as_chance_says_and_not_beyond():
    found = atom_agreement([RNG.standard_normal((40, 12)) for _ in range(5)])
    assert len(found.means) == 10 and found.mean == pytest.approx(found.chance, abs=0.02)
    assert found.chance == pytest.approx(chance_cosine(12, 40)) and abs(found.beyond_chance) < 0.04


def test_shares_and_spread_are_as_computed_by_hand():
    a, b = np.eye(2), np.array([[1.0, 0.0], [0.6, 0.8]])
    c = np.array([[0.0, 1.0], [0.8, -0.6]])
    # cosines a-b: 1 and 0.8; a-c: 1 and 0.8; b-c: (0 + 0.12) or (0.8 + 0.8)
    found = atom_agreement([a, b, c])
    assert found.means == pytest.approx([0.9, 0.9, 0.8]) and found.mean == pytest.approx(2.6 / 3)
    assert found.sd == pytest.approx(np.sqrt(2 * (0.1 / 3) ** 2 + (0.2 / 3) ** 2) / np.sqrt(2))
    assert found.alike == 1 and found.same == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert np.isnan(atom_agreement([a, b]).sd)


def test_dictionaries_of_unequal_size_are_held_against_random_ones_of_the_same_sizes():
    found = atom_agreement([ATOMS[:10]], [ATOMS, ATOMS[5:]])
    assert found.means == pytest.approx([1, np.sort(found.means)[0]]) and found.means[1] < 1
    assert found.chance == pytest.approx(
        np.mean([chance_cosine(12, 10, n_other=40), chance_cosine(12, 10, n_other=35)])
    )
    # the more there are to choose from, the better the best
    assert chance_cosine(12, 10, n_other=200) > chance_cosine(12, 10, n_other=20)


def test_different_encoders_are_matched_by_what_is_active_in_the_same_cells():
    codes = RNG.exponential(1, (300, 6)) * (RNG.random((300, 6)) < 0.3)
    same = activation_agreement([codes, codes[:, ::-1] * 7.0])
    assert same.mean == pytest.approx(1) and same.chance < 0.2 and same.same == 1
    other = activation_agreement([codes, codes[RNG.permutation(300)]])
    assert abs(other.beyond_chance) < 0.1


def test_a_dead_concept_correlates_with_nothing():
    codes = np.array([[1.0, 0], [2, 0], [4, 0]])
    assert matched_correlations(codes, codes).tolist() == pytest.approx([1, 0])


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ConfigError, match="two or more"):
        atom_agreement([ATOMS])
    with pytest.raises(ShapeError, match="different spaces"):
        atom_agreement([ATOMS, ATOMS[:, :5]])
    with pytest.raises(ShapeError, match="same cells"):
        activation_agreement([np.ones((3, 2)), np.ones((4, 2))])
