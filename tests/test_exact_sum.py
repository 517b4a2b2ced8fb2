"""Sums without rounding: any order, any blocks, the same bits; and as exact as rational numbers say."""

from fractions import Fraction

import numpy as np
import pytest

from perturbook.data.exact_sum import ExactSum


def summed(values, order, pieces=1, terms=None, bound=None):
    total = ExactSum(1, terms or len(values), np.abs(values).max() if bound is None else bound)
    for piece in np.array_split(values[order], pieces):
        total.add(np.zeros(len(piece), int), piece)
    return total.total[0]


def wild(seed, n=2000):
    """Values of eight orders of magnitude and both signs, for which the order decides the last bits of a plain sum."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal(n) * 10 ** rng.uniform(-8, 1, n)


@pytest.mark.parametrize("seed", range(5))
def test_order_and_blocks_do_not_change_a_bit_where_a_plain_sum_does(seed):
    values, rng = wild(seed), np.random.default_rng(9)
    orders = [rng.permutation(len(values)) for _ in range(20)]
    assert len({summed(values, order, pieces=1 + i) for i, order in enumerate(orders)}) == 1
    assert len({np.cumsum(values[order])[-1] for order in orders}) > 1


@pytest.mark.parametrize("seed", range(5))
def test_the_sum_is_the_nearest_float_of_the_rational_sum(seed):
    values = wild(seed)
    exact = float(sum(map(Fraction, values)))
    assert summed(values, slice(None)) == exact
    assert summed(values, slice(None), terms=1_000_000, bound=1e3) == exact  # room to spare costs nothing


def test_places_are_kept_apart():
    total = ExactSum(3, terms=4, bound=2.0)
    total.add(np.array([0, 2, 2, 0]), np.array([1.0, 0.1, 0.2, -1.5]))
    np.testing.assert_array_equal(total.total, [-0.5, 0.0, float(Fraction(0.1) + Fraction(0.2))])


def test_nothing_and_zeros_sum_to_zero_and_a_missing_value_stays_missing():
    assert ExactSum(1, terms=0, bound=0.0).total[0] == 0
    assert summed(np.zeros(3), slice(None)) == 0
    assert np.isnan(summed(np.array([1.0, np.nan]), slice(None), bound=1.0))
