"""Every number of the DoRothEA table that its specification states."""

import numpy as np
import pytest
from conftest import load_or_skip

from perturbook.data import DATASETS

pytestmark = pytest.mark.slow  # the file takes 15 s to read


@pytest.fixture(scope="module")
def table():
    return load_or_skip("tf-dorothea")


def test_rows_factors_targets_and_confidences(table):
    assert list(table.columns) == ["tf", "confidence", "target", "mor"]
    assert len(table) == 454_504 and table["tf"].nunique() == 1333 and table["target"].nunique() == 20_295
    assert table["confidence"].value_counts().to_dict() == {
        "A": 5434,
        "B": 974,
        "C": 6815,
        "D": 15_863,
        "E": 425_418,
    }
    assert not table.duplicated(["tf", "target"]).any()


def test_a_factor_activates_or_represses(table):
    assert table["mor"].value_counts().to_dict() == {1: 410_583, -1: 43_921}
    assert np.issubdtype(table["mor"].dtype, np.integer)


def test_the_confident_part(table):
    confident = table[table["confidence"].isin(["A", "B", "C"])]
    assert len(confident) == 13_223
    assert confident["tf"].nunique() == 271 and confident["target"].nunique() == 5321


def test_its_terms_stand_in_title_and_licence():
    entry = DATASETS["tf-dorothea"]
    assert "academic use only" in entry.title and "academic use only" in entry.files[0].licence
