"""Columns of public files under the names of their versions, doses in micromolar, sizes of known versions."""

import numpy as np
import pandas as pd
import pytest

from perturbook.data.origin_columns import micromolar, pick, resembles
from perturbook.errors import InputError

TABLE = pd.DataFrame({"cell_type": ["a"], "cell_line": ["b"], "dose": [1.0]}, index=["c0"])
KNOWN = {"the small one": (1_000, 50), "the large one": (2_000, None)}


def test_the_first_candidate_that_exists_is_taken_and_named():
    columns, mapped = pick(
        TABLE, {"context": ("cell_line", "cell_type")}, {"time": ("time",), "dose": ("dose",)}
    )
    assert mapped == {"context": "cell_line", "dose": "dose"}
    assert columns.loc["c0"].to_dict() == {"context": "b", "dose": 1.0}


def test_a_missing_column_is_named_with_the_columns_there_are():
    with pytest.raises(
        InputError, match="holds the donor: none of replicate, patient. .*cell_type, cell_line, dose"
    ):
        pick(TABLE, {"donor": ("replicate", "patient")}, {})


def test_doses_become_micromolar_to_the_last_bit():
    dose = micromolar(np.array([10.0, 10_000.0, 0.5, 2.0]), np.array(["nM", "nM", "uM", "µM"]))
    assert dose.tolist() == [0.01, 10.0, 0.5, 2.0]


def test_an_unknown_unit_is_named():
    with pytest.raises(InputError, match="Doses are in 'mg/ml'; known units: nM, uM"):
        micromolar(np.array([1.0]), np.array(["mg/ml"]))


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((1_000, 50), "1,000 cells x 50 genes: the size of the small one."),
        ((2_000, 7), "2,000 cells x 7 genes: the size of the large one."),
        (
            (1_000, 51),
            "1,000 cells x 51 genes: resembles the small one (1,000 cells x 50 genes), but is not that size.",
        ),
        ((1_981, 7), "1,981 cells x 7 genes: resembles the large one (2,000 cells), but is not that size."),
        (
            (1_500, 50),
            "1,500 cells x 50 genes: the size of no version known here (cells: the small one 1,000; the l",
        ),
    ],
)
def test_a_size_is_said_to_be_that_of_a_version_like_it_or_unknown(size, said):
    assert resembles(*size, KNOWN).startswith(said)
