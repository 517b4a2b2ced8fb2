"""The signed-rank test and its shift: values by hand, SciPy where it is exact, enumeration where it is not."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from perturbook.evaluation.paired_tests import hodges_lehmann, signed_rank, smallest_p

RNG = np.random.default_rng(0)


def enumerated(d):
    """Share of all sign flips of the non-zero differences whose rank sum is as extreme, doubled."""
    ranks = rankdata(np.abs(d))[d != 0]
    sums = np.array([np.dot(ranks, signs) for signs in product((0, 1), repeat=len(ranks))])
    own = rankdata(np.abs(d))[d > 0].sum()
    return min(1, 2 * min(np.mean(sums <= own + 1e-9), np.mean(sums >= own - 1e-9)))


@pytest.mark.parametrize(("n", "p"), [(3, 0.25), (4, 0.125), (5, 0.0625), (6, 0.03125)])
def test_differences_of_one_sign_reach_the_smallest_p_and_five_never_reach_5_percent(n, p):
    d = np.arange(1, n + 1) / 7
    assert signed_rank(d) == signed_rank(-d) == smallest_p(d) == p


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9).filter(any))
def test_ties_and_zeros_are_exact_as_well(d):
    d = np.array(d) / 10
    p = signed_rank(d)
    assert p == pytest.approx(enumerated(d), rel=1e-12)
    assert p >= smallest_p(d)


@pytest.mark.parametrize("n", [8, 23, 50])
def test_without_ties_it_equals_scipys_exact_test(n):
    d = RNG.normal(0.3, size=n)
    assert signed_rank(d) == pytest.approx(wilcoxon(d, method="exact").pvalue, rel=1e-10)


def test_above_fifty_it_is_the_normal_approximation_of_pratt():
    d = np.append(np.round(RNG.normal(0.2, size=60), 1), [0, 0])
    assert signed_rank(d) == wilcoxon(d, zero_method="pratt", method="asymptotic").pvalue
    near = np.random.default_rng(1).normal(0.3, size=50)
    assert signed_rank(near) == pytest.approx(signed_rank(np.append(near, [1e-3])), abs=0.02)


def test_where_nothing_differs_p_values_are_no_smaller_than_they_say():
    p = [signed_rank(np.random.default_rng(s).normal(size=20)) for s in range(600)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.025)


def test_equal_methods_are_not_different_and_rounding_is_no_difference():
    assert signed_rank(np.zeros(12)) == 1 and smallest_p(np.zeros(12)) == 1
    assert signed_rank(np.full(12, 1e-16)) == 1
    residue = (0.3 - 0.2) - 0.1  # not 0 in floating point
    assert residue != 0 and signed_rank(np.array([residue, 1, 2, 3])) == signed_rank(np.array([0, 1.0, 2, 3]))


def test_undefined_pairs_are_left_out_and_nothing_is_undefined():
    d = RNG.normal(size=12)
    assert signed_rank(np.append(d, np.nan)) == signed_rank(d)
    for measure in (signed_rank, smallest_p, hodges_lehmann):
        assert np.isnan(measure(np.full(3, np.nan)))


def test_the_shift_is_the_median_of_pair_averages_by_hand():
    # averages of (1, 2, 6): 1, 1.5, 3.5, 2, 4, 6
    assert hodges_lehmann([1, 2, 6]) == 2.75


def test_the_shift_moves_with_the_differences_and_shrugs_at_an_outlier():
    d = RNG.normal(size=31)
    assert hodges_lehmann(d + 0.5) == pytest.approx(hodges_lehmann(d) + 0.5)
    assert hodges_lehmann(-d) == pytest.approx(-hodges_lehmann(d))
    assert abs(hodges_lehmann(np.append(d, 1e6)) - hodges_lehmann(d)) < 0.2
