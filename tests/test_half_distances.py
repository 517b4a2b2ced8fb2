"""Distances shared by all halvings equal the distance of each half from the other, one halving at a time."""

import numpy as np
import pytest

from perturbook.evaluation.distribution import LENGTHS, edist_u, median_distance, mmd2_u
from perturbook.evaluation.half_distances import two_samples_of_halves

RNG = np.random.default_rng(0)


def halvings(n, size=None):
    masks = np.zeros((6, n), bool)
    for mask in masks:
        mask[RNG.permutation(n)[: n // 2 if size is None else size]] = True
    return masks


@pytest.mark.parametrize(("n", "size"), [(30, None), (31, None), (3, 1), (2, 1), (6, 0), (6, 6)])
def test_every_halving_equals_the_two_functions(n, size):
    cells, in_a = RNG.normal(size=(n, 5)), halvings(n, size)
    unit = median_distance(cells)
    lengths = tuple(length * unit for length in LENGTHS)
    expected = [(edist_u(cells[~a], cells[a]), mmd2_u(cells[~a], cells[a], lengths)) for a in in_a]
    np.testing.assert_allclose(two_samples_of_halves(cells, in_a, unit), expected, rtol=1e-10, atol=1e-12)


def test_equal_cells_are_no_distance_apart_and_have_no_kernel():
    found = two_samples_of_halves(np.ones((8, 2)), halvings(8), unit=0.0)
    np.testing.assert_array_equal(found[:, 0], 0)
    assert np.isnan(found[:, 1]).all()
