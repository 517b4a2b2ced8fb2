"""Binning of one cell, and the numbers that resolve its ties: reference outputs, values by hand, and properties."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perturbook.errors import ConfigError
from perturbook.models.scgpt.binning import bin_edges, bin_values, check_ties, digitise
from perturbook.models.scgpt.draws import cell_keys, uniforms
from perturbook.models.scgpt.reference_draws import bins_in_order

A = Path(__file__).parent / "fixtures" / "scgpt" / "A"
counts = st.lists(st.integers(0, 12), min_size=1, max_size=60).map(lambda row: np.array(row, np.float32))


@pytest.fixture(scope="module")
def made():
    with np.load(A / "preprocess.npz") as file:
        return dict(file)


# the reference


def test_reference_mode_repeats_the_binned_cells_bit_for_bit(made):
    legacy = np.random.RandomState(int(made["numpy_seed"]))
    np.testing.assert_array_equal(bins_in_order(made["X_log1p"], legacy), made["X_binned"])


def test_edges_are_those_of_the_reference_in_double_precision(made):
    for row, edges in zip(made["X_log1p"], made["bin_edges"], strict=True):
        if row.any():
            found = bin_edges(row[row != 0])
            assert found.dtype == np.float64
            np.testing.assert_array_equal(found, edges[1:])


@pytest.mark.parametrize("of", ["log1p", "counts"])
def test_the_function_form_repeats_bit_for_bit_on_counts_and_on_their_logarithms(made, of):
    rows = made["X_log1p"] if of == "log1p" else made["counts"]
    found = bins_in_order(rows, np.random.RandomState(7002))
    np.testing.assert_array_equal(found, made[f"fn_binning_np_{of}"])


def test_the_function_form_on_tensors_repeats_bit_for_bit_without_the_empty_row(made):
    rows = made["X_log1p"][made["X_log1p"].any(axis=1)]
    found = bins_in_order(rows, np.random.RandomState(7002))
    np.testing.assert_array_equal(found, made["fn_binning_torch_log1p"])


def test_the_digitiser_repeats_both_rules_from_the_stored_draws(made):
    x, edges = made["dig_x"], made["dig_edges"]
    np.testing.assert_array_equal(digitise(x, edges, made["dig_rand"]), [1, 3, 3, 4, 6, 6, 5, 6, 8])
    np.testing.assert_array_equal(digitise(x, edges), [1, 4, 4, 4, 6, 6, 6, 6, 8])
    np.testing.assert_array_equal(made["dig_both"], [1, 3, 3, 4, 6, 6, 5, 6, 8])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_seeded_bins_lie_where_200_seeds_of_the_reference_lie(made, seed):
    keys = cell_keys(f"c{i}" for i in range(12))
    for row, key, least, most in zip(
        made["X_log1p"],
        keys,
        made["binned_min_over_200_seeds"],
        made["binned_max_over_200_seeds"],
        strict=True,
    ):
        found = bin_values(row, uniforms(seed, "ties", key, np.flatnonzero(row)))
        assert ((least <= found) & (found <= most)).all()


@pytest.mark.parametrize("draw", [None, 0.0, 0.37, 1 - 2**-53])
@pytest.mark.parametrize("of", ["continuous", "continuous_log"])
def test_cells_without_ties_have_the_bins_of_the_reference_whatever_is_drawn(made, draw, of):
    values = made["continuous"] if of == "continuous" else np.log1p(made["continuous"])
    for row, expected in zip(values, made[f"{of}_binned"], strict=True):
        draws = None if draw is None else np.full(np.count_nonzero(row), draw)
        np.testing.assert_array_equal(bin_values(row, draws), expected)


def test_equal_values_draw_their_bins_as_measured_with_seed_0():
    draws = np.random.RandomState(0).rand
    np.testing.assert_array_equal(bin_values(np.array([3.0]), draws(1)), [23])
    draws = np.random.RandomState(0).rand
    np.testing.assert_array_equal(bin_values(np.array([2.0, 2.0, 2.0]), draws(3)), [23, 15, 20])


# by hand and by property


def test_four_bins_by_hand():
    # edges at the quantiles 0, 1/2, 1 of 1, 2, 5 are 1, 2, 5
    np.testing.assert_array_equal(bin_values(np.array([0.0, 5.0, 1.0, 0.0, 2.0]), n_bins=4), [0, 3, 1, 0, 2])


def test_a_tie_of_several_edges_is_spread_evenly_over_them():
    # of 1, 2, 2, 2, 9 the edges 0, 1/4, 1/2, 3/4, 1 are 1, 2, 2, 2, 9: a 2 may take the bins 2, 3 and 4
    values, draws = np.array([1.0, 2.0, 2.0, 2.0, 9.0]), np.random.default_rng(0).random((3000, 5))
    found = np.stack([bin_values(values, one, n_bins=6) for one in draws])
    assert set(found[:, 0]) == {1} and set(found[:, 4]) == {5}
    shares = [(found[:, 1:4] == which).mean() for which in (2, 3, 4)]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.02)
    np.testing.assert_array_equal(bin_values(values, n_bins=6), [1, 4, 4, 4, 5])


def test_a_cell_of_zeros_stays_zeros_and_a_cell_without_zeros_is_binned_throughout():
    np.testing.assert_array_equal(bin_values(np.zeros(4)), 0)
    assert (bin_values(np.array([4.0, 1.0, 3.0])) > 0).all()


@settings(max_examples=200, deadline=None)
@given(counts, st.sampled_from([np.float32, np.float64]), st.sampled_from([2, 3, 11, 51]))
def test_edges_equal_those_of_numpy_bit_for_bit(row, dtype, n_bins):
    values = np.log1p(row[row > 0] * 3.7).astype(dtype)
    if len(values):
        np.testing.assert_array_equal(
            bin_edges(values, n_bins), np.quantile(values, np.linspace(0, 1, n_bins - 1))
        )


@settings(max_examples=200, deadline=None)
@given(counts, st.integers(0, 5))
def test_bins_are_ranks_that_no_monotone_scale_can_change(row, seed):
    draws = np.random.default_rng(seed).random(np.count_nonzero(row))
    bins = bin_values(row, draws)
    assert ((bins == 0) == (row == 0)).all() and bins.max(initial=0) <= 50
    filled = np.flatnonzero(row)
    order = filled[np.argsort(row[filled], kind="stable")]
    steps = np.diff(row[order]) > 0
    assert (np.diff(bins[order])[steps] >= 0).all()
    assert (bin_values(row) >= bins).all()  # the upper edge is the most that can be drawn


def test_an_unknown_rule_for_ties_is_refused():
    with pytest.raises(ConfigError, match=r"ties is 'both'; expected one of seeded, one"):
        check_ties("both")


# the numbers drawn


def test_a_draw_is_the_published_splitmix64_of_its_state():
    """The first outputs of SplitMix64 started at 1234567, as published with its reference implementation."""
    from perturbook.models.scgpt.draws import GOLDEN, _mix

    counters = np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * GOLDEN
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert _mix(counters).tolist()[:3] == expected


def test_the_first_numbers_of_a_cell_never_change():
    found = uniforms(0, "ties", cell_keys(["AAACATACAACCAC-1"]), np.arange(3))
    np.testing.assert_array_equal(found, [0.2979241059588593, 0.5401024722527413, 0.6395496526382513])


def test_draws_are_uniform_and_streams_and_cells_and_seeds_are_independent():
    keys, tokens = cell_keys(f"cell{i}" for i in range(300))[:, None], np.arange(300)
    streams = [(0, "ties"), (0, "genes"), (1, "ties")]
    drawn = [uniforms(seed, purpose, keys, tokens) for seed, purpose in streams]
    drawn += [drawn[0][::-1], np.roll(drawn[0], 1, axis=1)]  # other cells, neighbouring tokens
    for one in drawn:
        assert 0 <= one.min() and one.max() < 1
        counted, _ = np.histogram(one, bins=100, range=(0, 1))
        assert ((counted - 900) ** 2 / 900).sum() < 150  # 99 degrees of freedom: 0.1 % lie above 149
    correlations = np.corrcoef([one.ravel() for one in drawn])[np.triu_indices(5, 1)]
    assert np.abs(correlations).max() < 5 / 300  # five standard errors


def test_a_draw_depends_on_its_own_cell_and_token_only():
    keys, tokens = cell_keys(["a", "b"])[:, None], np.array([5, 900, 2])
    both = uniforms(3, "ties", keys, tokens)
    np.testing.assert_array_equal(uniforms(3, "ties", keys[1], tokens[::-1]), both[1, ::-1])


@pytest.mark.parametrize("seed", [0.5, "0", True, None])
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    with pytest.raises(ConfigError, match="expected a whole number"):
        uniforms(seed, "ties", cell_keys(["a"]), np.array([1]))
