"""The full Kang 2018 file, in the two layouts its copies have: donors kept, labels mapped, anything else refused."""

import hand_made_full_size as hand_made
import numpy as np
import pandas as pd
import pytest

from perturbook.data import load
from perturbook.data.kang2018 import NAME, VERSIONS
from perturbook.data.origin_columns import resembles
from perturbook.errors import InputError

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*trusted on first use", "ignore:Variable names are not unique"
)


@pytest.fixture
def put(tmp_path, monkeypatch):
    return hand_made.writer(tmp_path, monkeypatch, NAME)


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (("ctrl", "stim"), ("label", "cell_type", "replicate")),
        (("control", "stimulated"), ("condition", "celltype", "patient")),
    ],
)
def test_every_layout_gives_the_same_cells(put, names, columns):
    put(hand_made.kang())
    expected = load(NAME, genes=12)
    put(hand_made.kang(names, columns))
    found = load(NAME, genes=12)
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    assert (found.X != expected.X).nnz == 0
    assert found.uns["origin"]["mapped"]["donor"] == columns[2]


def test_donors_are_labels_and_no_numbers(put):
    put(hand_made.kang())
    cells = load(NAME, genes=12)
    assert list(cells.obs["donor"].cat.categories) == ["101", "1015", "1016"]
    assert "3 donors, so that splits by donor are possible" in cells.uns["origin"]["recovered"]
    assert set(cells.obs["perturbation"]) == {"control", "IFN-beta"} and set(cells.obs["kind"]) == {
        "cytokine"
    }
    assert (cells.obs["dose_um"] == 0).equals(cells.obs["is_control"])
    assert np.isnan(cells.obs.loc[~cells.obs["is_control"], "dose_um"]).all()


def test_whole_donors_can_be_held_out(put):
    from perturbook.data.own import Columns

    put(hand_made.kang())
    cells = load(NAME, Columns(context="donor"), genes=12)
    assert set(cells.obs["context"]) == {"101", "1015", "1016"}


def test_a_file_without_donors_is_refused(put):
    put(hand_made.kang(columns=("label", "cell_type", "sample")))
    with pytest.raises(
        InputError, match="holds the donor: none of replicate, patient.*label, cell_type, sample"
    ):
        load(NAME)


def test_a_label_of_neither_kind_is_refused(put):
    put(hand_made.kang(names=("ctrl", "LPS")))
    with pytest.raises(InputError, match="kang2018: unknown perturbation 'LPS'; known are ctrl"):
        load(NAME)


def test_the_size_of_the_public_file_is_known():
    assert resembles(24_673, 15_706, VERSIONS).endswith("the size of the file of pertpy.")
