"""Energy distance: two cells by hand, the bias of the V-statistic, and what a point mass scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import ortho_group

from perturbook.errors import ShapeError
from perturbook.evaluation.distribution import LENGTHS, edist_u, edist_v, median_distance, mmd2_u

X, Y = np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]])


def test_two_cells_against_two_cells_by_hand():
    assert edist_u(X, Y) == -1.0
    assert edist_v(X, Y) == 1.0
    assert edist_u(X, Y, squared=True) == -2.0
    assert edist_v(X, Y, squared=True) == 2.0


@given(st.integers(2, 8), st.integers(2, 8), st.integers(0, 100))
@settings(deadline=None)
def test_v_exceeds_u_by_exactly_the_share_of_self_distances(n, m, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    within = [np.linalg.norm(a[:, None] - a[None], axis=2).sum() / len(a) / (len(a) - 1) for a in (x, y)]
    assert edist_v(x, y) - edist_u(x, y) == pytest.approx(within[0] / n + within[1] / m, abs=1e-10)


def test_only_the_u_statistic_is_zero_for_equal_distributions():
    """metrics.md acceptance 16."""
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(25, 50)), rng.normal(size=(25, 50))) for _ in range(200)]
    assert abs(np.mean([edist_u(x, y) for x, y in pairs])) < 0.02
    assert 0.77 < np.mean([edist_v(x, y) for x, y in pairs]) < 0.82


def test_unequal_cell_counts_leave_the_u_statistic_unbiased():
    """style.md acceptance 7."""
    rng = np.random.default_rng(1)
    pairs = [(rng.normal(size=(20, 50)), rng.normal(size=(200, 50))) for _ in range(60)]
    assert abs(np.mean([edist_u(x, y) for x, y in pairs])) < 0.05
    assert np.mean([edist_v(x, y) for x, y in pairs]) == pytest.approx(0.56, abs=0.06)


def test_a_point_mass_at_the_true_mean_is_punished():
    x = np.random.default_rng(2).normal(size=(2500, 50))
    assert edist_u(x, np.zeros((1, 50))) == pytest.approx(4.121, abs=0.03)


def test_a_mean_only_prediction_scores_the_same_however_often_its_row_is_repeated():
    x, mean = np.random.default_rng(3).normal(size=(30, 5)), np.ones((1, 5))
    assert edist_u(x, np.repeat(mean, 17, axis=0)) == pytest.approx(edist_u(x, mean), abs=1e-12)


def test_squared_distances_are_blind_to_the_spread():
    x = np.random.default_rng(4).normal(size=(2000, 10))
    assert abs(edist_u(x, 3 * x - 2 * x.mean(axis=0), squared=True)) < 0.2
    assert edist_u(x, 3 * x - 2 * x.mean(axis=0)) > 1


@given(st.integers(0, 50))
@settings(deadline=None, max_examples=25)
def test_rotation_and_the_order_of_cells_and_dims_change_nothing(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(12, 6)), rng.normal(1, 2, size=(9, 6))
    turn, dims = ortho_group.rvs(6, random_state=seed), rng.permutation(6)
    assert edist_u(x @ turn, y @ turn) == pytest.approx(edist_u(x, y), abs=1e-10)
    assert edist_u(rng.permutation(x)[:, dims], rng.permutation(y)[:, dims]) == pytest.approx(
        edist_u(x, y), abs=1e-10
    )


def test_too_few_cells_are_undefined():
    assert np.isnan(edist_u(X[:1], Y)) and np.isnan(edist_u(X, Y[:0])) and np.isnan(edist_v(X[:0], Y))


def biased_mmd(x, y, length):
    """With each cell's similarity to itself, written out."""
    k = [np.exp(-cdist(a, b, "sqeuclidean") / (2 * length**2)).mean() for a, b in ((x, x), (y, y), (x, y))]
    return k[0] + k[1] - 2 * k[2]


def test_mmd_of_two_cells_against_two_cells_by_hand():
    """metrics.md acceptance 9."""
    assert mmd2_u(X, Y, (1.0,)) == pytest.approx(-0.644680, abs=1e-6)
    assert biased_mmd(X, Y, 1.0) == pytest.approx(0.219985, abs=1e-6)  # what counting self-pairs would give


def test_kernels_are_averaged_and_their_lengths_come_from_true_cells():
    assert mmd2_u(X, Y, (1.0, 3.0)) == pytest.approx((mmd2_u(X, Y, (1.0,)) + mmd2_u(X, Y, (3.0,))) / 2)
    assert median_distance(np.array([[0.0], [1.0], [5.0]])) == 4 and LENGTHS == (0.5, 1, 2)


def test_mmd_is_zero_for_equal_distributions_and_sees_a_point_mass():
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(25, 50)), rng.normal(size=(25, 50))) for _ in range(200)]
    assert abs(np.mean([mmd2_u(x, y, (5.0, 10.0, 20.0)) for x, y in pairs])) < 0.002
    x = pairs[0][0]
    assert mmd2_u(x, x.mean(axis=0)[None], (10.0,)) > 0.03
    assert mmd2_u(x, np.repeat(x[:1], 7, axis=0), (10.0,)) == pytest.approx(mmd2_u(x, x[:1], (10.0,)))


def test_mmd_is_undefined_without_two_true_cells_or_without_a_length():
    assert np.isnan(mmd2_u(X[:1], Y, (1.0,))) and np.isnan(mmd2_u(X, Y[:0], (1.0,)))
    assert np.isnan(mmd2_u(X, Y, (0.0,))) and np.isnan(mmd2_u(X, Y, (np.nan,)))
    assert np.isnan(median_distance(X[:1]))


def test_unequal_dims_are_refused():
    with pytest.raises(ShapeError, match=r"\(2, 1\).*\(2, 3\)"):
        edist_u(X, np.zeros((2, 3)))
