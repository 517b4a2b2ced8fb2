"""Packing loses nothing, finds the step that numbers were rounded to, and leaves alone what was never rounded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbook.evaluation.packing import packed, unpacked


def restored(values, **options):
    return unpacked(*packed(values, **options))


@given(
    st.lists(st.integers(-5000, 5000), min_size=1, max_size=40),
    st.integers(-20, 4),
    st.sampled_from([1, 3, 5, 7]),
)
def test_multiples_of_any_short_step_come_back_to_the_bit(multiples, exponent, odd):
    values = np.array(multiples, dtype=float) * odd * 2.0**exponent
    np.testing.assert_array_equal(restored(values), values)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_missing_values_signs_and_the_type_are_kept(kind):
    values = np.array([[0.25, np.nan], [-1.5, 0]], dtype=kind)
    codes, how = packed(values)
    again = unpacked(codes, how)
    np.testing.assert_array_equal(again, values)
    assert again.dtype == kind and how["step"] == 0.25
    np.testing.assert_array_equal(codes, [[3, 0], [12, 1]])  # 1 + 2 |k| - (k < 0), 0 for NaN
    assert codes.dtype == np.uint8


def test_numbers_without_signs_take_no_room_for_them():
    codes, _ = packed(np.array([0, 0.5, 127.0]))
    assert codes.tolist() == [1, 2, 255]


def test_every_row_may_have_a_step_of_its_own():
    values = np.array([[0.75, 1.5], [1024.0, 0], [np.nan, np.nan]])
    codes, how = packed(values, rows=True)
    assert how["step"].ravel().tolist() == [0.75, 1024, 1] and codes.max() == 3
    np.testing.assert_array_equal(unpacked(codes, how), values)


@pytest.mark.parametrize(
    "values", [[0.1, 0.3], [np.inf, 1], [1e-9, 1e9]], ids=["unrounded", "infinite", "far apart"]
)
def test_numbers_that_were_never_rounded_are_not_packed(values):
    assert packed(np.array(values)) is None


def test_nothing_and_zeros_can_be_packed():
    for values in (np.zeros((0, 3)), np.zeros((2, 3)), np.full((2, 2), np.nan)):
        np.testing.assert_array_equal(restored(values), values)
