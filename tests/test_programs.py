"""Programs, edges and their stability: by hand, by property, and at the threshold."""

import numpy as np
import pytest

from perturbook.errors import ShapeError
from perturbook.evaluation import programs
from perturbook.evaluation.stability import (
    Ensemble,
    adjusted_rand,
    correlations,
    edge_agreement,
    edge_frequency,
    match,
    permutation_p,
)


def test_a_program_map_by_hand():
    effect = programs.effects([[2, 0], [-1, 5], [1, 1]], [0, 1], [1, 2])
    assert effect.tolist() == [[2, 0.5], [1, 2], [1, 0]]
    program, margin = programs.program_map(effect)
    assert program.tolist() == [0, 1, 0] and margin.tolist() == [1.5, 1, 1]


def test_a_latent_without_spread_has_no_effect_and_never_wins():
    effect = programs.effects([[9, 1]], [0, 0], [0, 1])
    assert np.isnan(effect[0, 0])
    program, margin = programs.program_map(effect)
    assert program.tolist() == [1] and np.isnan(margin[0])
    with pytest.raises(ShapeError, match="every target needs a latent"):
        programs.program_map(np.full((1, 2), np.nan))
    with pytest.raises(ShapeError, match=r"control is \(3,\)"):
        programs.effects([[1, 2]], [0, 0, 0], [1, 1])


def test_an_edge_is_drawn_above_the_threshold_and_not_at_it():
    edges = programs.standardised([[0, 0], [1, 0]], [0.5, 2])
    assert edges.tolist() == [[0, 0], [0.25, 0]]
    assert not programs.pruned(edges, 0.25).any()
    assert programs.pruned(edges, 0.2499).tolist() == [[False, False], [True, False]]
    assert programs.pruned(-edges, 0.2).sum() == 1 and not programs.pruned(edges * np.nan, 0.0).any()


def test_the_scale_of_latents_does_not_matter_for_a_standardised_edge():
    rng = np.random.default_rng(0)
    edges, spread, scale = np.tril(rng.normal(size=(4, 4)), -1), rng.uniform(1, 2, 4), rng.uniform(0.1, 9, 4)
    rescaled = edges * scale[:, None] / scale[None, :]
    assert programs.standardised(rescaled, spread * scale) == pytest.approx(
        programs.standardised(edges, spread)
    )
    with pytest.raises(ShapeError, match=r"edges are \(4, 4\), spread is \(3,\)"):
        programs.standardised(edges, spread[:3])


def test_spread_over_cells_adds_that_of_the_means_and_what_is_not_known_of_each():
    assert programs.total_spread(np.array([[0.0], [2.0]]), np.array([[1.0], [2.0]])) == pytest.approx(
        [np.sqrt(2.5)]
    )


def copy_of(zn, effects, edges, order, sign):
    """The same finding as another training might show it: latents in another order, some with the other sign."""
    return zn[:, order] * sign, effects[:, order], edges[np.ix_(order, order)] * np.outer(sign, sign)


def ensemble_of(*trainings):
    zn, effects, edges = zip(*trainings, strict=True)
    table = np.array([[correlations(a, b) for b in zn] for a in zn])
    return Ensemble(table, np.array(effects), np.array(edges))


def found(seed, latents=4):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(1000, latents)),
        rng.uniform(size=(30, latents)),
        np.tril(rng.normal(size=(latents, latents)), -1),
    )


def test_a_permuted_and_sign_flipped_copy_agrees_fully():
    first = found(0)
    second = copy_of(*first, np.array([2, 0, 3, 1]), np.array([1, -1, -1, 1]))
    both = ensemble_of(first, second)
    found_again = both.agreement()
    assert found_again.pop("unmatched") < 0.1
    for name, values in found_again.items():
        assert values == pytest.approx([1]), name
    assert both.matched_edges()[1] == pytest.approx(first[2])
    assert (edge_frequency(both.matched_edges(), 0.1) == programs.pruned(first[2], 0.1)).all()


def test_trainings_that_have_nothing_in_common_agree_no_more_than_others_of_their_kind():
    values = [ensemble_of(found(2 * s), found(2 * s + 1)).agreement() for s in range(40)]
    mean = {name: np.mean([one[name][0] for one in values]) for name in values[0]}
    assert mean["latents"] < 0.1 and abs(mean["programs"]) < 0.05
    # signs and order are matched on latents, so nothing pulls the edges of one towards those of the other
    assert abs(mean["edges"]) < 0.15


def test_latents_that_are_all_one_direction_are_known_by_those_not_matched():
    one = np.random.default_rng(0).normal(size=(1000, 1)) * [1.0, -2, 3, 4]
    table = correlations(one, one[:, ::-1])
    assert match(table).strength == pytest.approx([1] * 4) and match(table).rest(table) == pytest.approx(1)


def test_the_frequency_of_an_edge_counts_trainings():
    edges = np.zeros((5, 2, 2))
    edges[:, 1, 0] = [0.3, -0.3, 0.2, 0.26, 0.0]
    assert edge_frequency(edges, 0.25)[1, 0] == pytest.approx(0.6) and edge_frequency(edges, 0.25)[0, 1] == 0


def test_partitions_and_edges_that_cannot_be_compared_are_undefined():
    assert np.isnan(adjusted_rand(np.zeros(4), np.ones(4)))
    assert adjusted_rand(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])) == 1
    assert np.isnan(edge_agreement(np.zeros((3, 3)), np.ones((3, 3)) - np.eye(3)))


def test_a_constant_latent_is_matched_last_and_correlates_with_nothing():
    zn = found(1)[0]
    other = zn * [1, 1, 1, 0]
    assert match(correlations(zn, other)).strength == pytest.approx([1, 1, 1, 0])
    with pytest.raises(ShapeError, match="1000 and of 999 cells"):
        correlations(zn, zn[1:])
    with pytest.raises(ShapeError, match="as many latents on both sides"):
        match(np.ones((2, 3)))


def test_the_value_itself_counts_among_the_permutations():
    assert permutation_p(3.0, np.array([1.0, 2, 3])) == 0.5
    assert permutation_p(4.0, np.array([1.0, 2, 3])) == 0.25
    assert np.isnan(permutation_p(np.nan, np.ones(3))) and np.isnan(permutation_p(1.0, np.array([1, np.nan])))
