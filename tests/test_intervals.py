"""Bootstrap intervals: exact on constants, invariant, honest about undefined values, and fast."""

import time
import tracemalloc

import numpy as np
import pytest

from perturbook.errors import ShapeError
from perturbook.evaluation.intervals import bootstrap_difference, bootstrap_mean

VALUES = np.random.default_rng(0).normal(size=60)


def test_the_interval_covers_what_theory_says():
    interval = bootstrap_mean(VALUES)
    half = 1.96 * VALUES.std() / np.sqrt(60)
    assert interval.mean == pytest.approx(VALUES.mean())
    assert interval.low == pytest.approx(VALUES.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(VALUES.mean() + half, abs=0.03)
    assert interval.kind == "95 % bootstrap over conditions"


def test_95_percent_of_intervals_hold_the_true_mean():
    rng = np.random.default_rng(1)
    intervals = [bootstrap_mean(rng.normal(size=50), n=500, seed=s) for s in range(300)]
    assert 0.90 < np.mean([i.low < 0 < i.high for i in intervals]) < 0.98


def test_identical_methods_differ_by_exactly_nothing():
    interval = bootstrap_difference(VALUES, VALUES)
    assert (interval.mean, interval.low, interval.high) == (0, 0, 0)


def test_a_constant_gain_has_no_width_with_or_without_blocks():
    for block in (None, np.arange(60) % 7):
        interval = bootstrap_difference(VALUES + 0.1, VALUES, block=block)
        np.testing.assert_allclose([interval.mean, interval.low, interval.high], 0.1, atol=1e-12)


def test_a_paired_difference_is_narrower_than_the_methods_themselves():
    better = VALUES + 0.1 + 0.01 * np.random.default_rng(2).normal(size=60)
    paired, single = bootstrap_difference(better, VALUES), bootstrap_mean(VALUES)
    assert paired.high - paired.low < 0.1 * (single.high - single.low)
    assert paired.low > 0


def test_undefined_conditions_are_left_out_and_counted():
    holed = VALUES.copy()
    holed[:15] = np.nan
    interval, by_hand = bootstrap_mean(holed), bootstrap_mean(VALUES[15:])
    assert (interval.mean, interval.low, interval.high) == (by_hand.mean, by_hand.low, by_hand.high)
    assert (interval.n_defined, interval.n_total) == (45, 60)
    assert interval.mean == pytest.approx(np.nanmean(holed))


def test_a_difference_counts_conditions_where_both_are_defined():
    first, second = VALUES.copy(), VALUES.copy()
    first[:5], second[3:9] = np.nan, np.nan
    assert bootstrap_difference(first, second).n_defined == 51


def test_nothing_defined_is_undefined():
    interval = bootstrap_mean(np.full(20, np.nan))
    assert np.isnan([interval.mean, interval.low, interval.high]).all()
    assert (interval.n_defined, interval.n_total, interval.kind) == (0, 20, "undefined")


def test_below_ten_defined_conditions_there_is_a_mean_but_no_interval():
    nine, ten = bootstrap_mean(np.append(VALUES[:9], np.nan)), bootstrap_mean(VALUES[:10])
    assert nine.mean == pytest.approx(VALUES[:9].mean())
    assert np.isnan([nine.low, nine.high]).all() and nine.kind == "every value shown"
    assert ten.low < ten.mean < ten.high


def test_below_five_blocks_there_is_no_interval():
    assert np.isnan(bootstrap_mean(VALUES, block=np.arange(60) % 4).low)
    assert bootstrap_mean(VALUES, block=np.arange(60) % 5).kind == "95 % bootstrap over 5 blocks"


def test_doses_of_one_drug_do_not_narrow_the_interval():
    drug = np.repeat(np.arange(12), 5)
    effect = np.random.default_rng(3).normal(size=12)[drug]
    naive, blocked = bootstrap_mean(effect), bootstrap_mean(effect, block=drug)
    assert blocked.high - blocked.low > 1.8 * (naive.high - naive.low)
    assert blocked.mean == pytest.approx(naive.mean)


def test_blocks_of_one_condition_equal_no_blocks():
    plain = bootstrap_mean(np.sort(VALUES))
    blocked = bootstrap_mean(np.sort(VALUES), block=np.arange(60))
    assert (plain.low, plain.high) == (blocked.low, blocked.high)


DOUBLES = np.array([(f"g{i}", f"g{j}") for i in range(12) for j in range(i)])


def of_genes(seed, effect):
    """Values of all 66 doubles of 12 genes, each a sum of its genes' own effects and noise."""
    rng = np.random.default_rng(seed)
    gene = dict(zip(np.unique(DOUBLES), effect * rng.normal(size=12), strict=True))
    return np.array([gene[a] + gene[b] for a, b in DOUBLES]) + rng.normal(size=66)


def test_doubles_that_share_genes_do_not_count_as_independent():
    naive, paired = bootstrap_mean(of_genes(6, 1.0)), bootstrap_mean(of_genes(6, 1.0), block=DOUBLES)
    assert paired.mean == pytest.approx(naive.mean)
    assert paired.high - paired.low > 1.8 * (naive.high - naive.low)
    assert paired.kind == "95 % bootstrap over 12 genes"


def test_95_percent_of_intervals_over_genes_hold_the_true_mean_where_naive_ones_do_not():
    made = [(of_genes(s, 1.0), s) for s in range(100)]
    paired = [bootstrap_mean(v, n=400, seed=s, block=DOUBLES) for v, s in made]
    naive = [bootstrap_mean(v, n=400, seed=s) for v, s in made]
    assert np.mean([i.low < 0 < i.high for i in paired]) > 0.88
    assert np.mean([i.low < 0 < i.high for i in naive]) < 0.65


def test_a_pair_counts_as_often_as_the_draws_of_its_genes_multiply_to(monkeypatch):
    drawn = np.array([[2, 1, 0, 1, 1]])  # draws of A, B, C, D, E
    monkeypatch.setattr(
        np.random, "default_rng", lambda seed: type("", (), {"multinomial": lambda *a, **k: drawn})()
    )
    pairs = [("B", "A"), ("A", "C"), ("D", "E"), ("D", ""), *[("C", "E")] * 6]
    interval = bootstrap_mean(np.r_[1.0, 10, 5, 7, np.full(6, 100)], n=1, block=pairs)
    assert interval.low == interval.high == (2 * 1 + 1 * 5 + 1 * 7) / 4


def test_singles_given_as_pairs_equal_their_genes_as_blocks():
    block = np.char.add("g", (np.arange(60) % 15).astype(str))
    one, two = bootstrap_mean(VALUES, block=block), bootstrap_mean(VALUES, block=np.c_[block, [""] * 60])
    np.testing.assert_allclose([two.low, two.high], [one.low, one.high], atol=0.02)


def test_neither_the_order_of_doubles_nor_of_the_genes_in_their_names_changes_the_interval():
    order = np.random.default_rng(7).permutation(66)
    values = of_genes(6, 1.0)
    assert bootstrap_mean(values[order], block=DOUBLES[order, ::-1]) == bootstrap_mean(values, block=DOUBLES)


def test_paired_differences_of_doubles_have_no_width_where_there_is_none():
    values = of_genes(6, 1.0)
    for gain in (0, 0.1):
        i = bootstrap_difference(values + gain, values, block=DOUBLES)
        np.testing.assert_allclose([i.mean, i.low, i.high], gain, atol=1e-12)


def test_every_condition_weighs_the_same_whatever_the_size_of_its_block():
    block = np.array([0] * 30 + [1, 2, 3, 4, 5, 6] * 5)
    assert bootstrap_mean(VALUES, block=block).mean == pytest.approx(VALUES.mean())


def test_the_order_of_conditions_changes_nothing_and_the_seed_does():
    order = np.random.default_rng(4).permutation(60)
    assert bootstrap_mean(VALUES[order]) == bootstrap_mean(VALUES)
    assert bootstrap_mean(VALUES, seed=1).low != bootstrap_mean(VALUES).low


def test_ten_thousand_resamples_of_300_conditions_are_fast_and_small():
    values = np.random.default_rng(5).normal(size=300)
    tracemalloc.start()
    start = time.process_time()
    bootstrap_mean(values)
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 1 and peak < 100e6


def test_methods_of_different_length_and_missing_block_labels_are_refused():
    with pytest.raises(ShapeError, match="same conditions"):
        bootstrap_difference(VALUES, VALUES[:-1])
    with pytest.raises(ShapeError, match="one label per condition"):
        bootstrap_mean(VALUES, block=["a"])
