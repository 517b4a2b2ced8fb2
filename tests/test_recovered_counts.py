"""Whole counts from logarithms: by hand, and refused where there are none."""

import numpy as np
import pytest
import scipy.sparse as sp

from perturbook.data.recovered_counts import counts_of_smallest, counts_of_total
from perturbook.errors import InputError

COUNTS = np.array([[1, 0, 3, 7], [2, 3, 0, 9], [4, 0, 6, 10], [12, 13, 0, 25], [0, 0, 0, 0]])
TOTALS = np.array([50, 60, 70, 80, 90])
NAMES = ["one", "two", "divisor", "twelve", "empty"]


def logarithms(counts, totals, scale=1e4):
    return sp.csr_matrix(np.log1p(scale * counts / totals[:, None]))


def test_a_cell_whose_smallest_count_is_not_one_is_recovered_with_its_total():
    counts, totals = counts_of_smallest(logarithms(COUNTS, TOTALS), NAMES, "a file")
    expected = COUNTS.copy()
    expected[2] //= 2  # nothing in the values tells 4, 6, 10 from 2, 3, 5 of half the total
    assert counts.toarray().tolist() == expected.tolist() and counts.dtype == np.float32
    np.testing.assert_allclose(totals, [50, 60, 35, 80, np.nan])


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ([13, 14, 0, 29], "a smallest count of 13"),
        ([1, 0, 2.53, 3.3], "values that are no counts"),
        ([np.nan, 1, 2, 3], "NaN"),
        ([-0.00001, 0, -0.00002, 0], "negative values"),
    ],
)
def test_values_without_counts_behind_them_are_refused_with_the_cell(row, what):
    bad = COUNTS.astype(float)
    bad[2] = row
    with pytest.raises(InputError, match=r"from a file: .* 20.0 % of cells \(1 of 5\), such as 'divisor'"):
        counts_of_smallest(logarithms(bad, TOTALS), NAMES, "a file")


def test_the_largest_multiple_and_the_tolerance_decide():
    rows = logarithms(COUNTS[3:4], TOTALS[3:4])
    with pytest.raises(InputError, match="times 1 to 11, is not whole"):
        counts_of_smallest(rows, NAMES[3:4], "a file", largest=11)
    rounded = rows.copy()
    rounded.data = np.round(rounded.data, 5)
    with pytest.raises(InputError, match="No counts can be recovered"):
        counts_of_smallest(rounded, NAMES[3:4], "a file")
    counts, _ = counts_of_smallest(rounded, NAMES[3:4], "a file", tolerance=1e-3)
    assert counts.toarray().tolist() == [[12, 13, 0, 25]]


def test_a_known_total_gives_the_counts_whatever_the_smallest():
    found = counts_of_total(logarithms(COUNTS, TOTALS, scale=1832.5), 1832.5 / TOTALS, 1e-9, "a file")
    assert found.toarray().tolist() == COUNTS.tolist() and found.dtype == np.float32


def test_totals_of_other_cells_are_refused():
    with pytest.raises(InputError, match="of a file do not give whole counts, such as 1.2: its totals"):
        counts_of_total(logarithms(COUNTS, TOTALS), 1e4 / TOTALS[[1, 0, 2, 3, 4]], 1e-3, "a file")
