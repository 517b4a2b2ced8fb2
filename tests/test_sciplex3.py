"""The full sci-Plex 3 file, as scPerturb and as chemCPA have it: names, structures, doses, times, and the mock refused."""

import shutil

import hand_made_full_size as hand_made
import numpy as np
import pandas as pd
import pytest

from perturbook.data import fetch, load
from perturbook.data.origin_columns import resembles
from perturbook.data.sciplex3 import NAME, VERSIONS, drug_name
from perturbook.errors import InputError

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*trusted on first use", "ignore:Variable names are not unique"
)


@pytest.fixture
def put(tmp_path, monkeypatch):
    from conftest import load_or_skip

    load_or_skip("sciplex3-drugs")
    (drugs,) = fetch("sciplex3-drugs")
    write = hand_made.writer(tmp_path, monkeypatch, NAME)
    shutil.copy(drugs, tmp_path / "mirror" / drugs.name)
    return write


def test_both_layouts_give_the_same_cells(put):
    put(hand_made.sciplex_scperturb())
    expected = load(NAME, genes=12)
    put(hand_made.sciplex_chemcpa())
    found = load(NAME, genes=12)
    pd.testing.assert_frame_equal(found.obs, expected.obs.drop(columns="time_h"))
    assert (found.X != expected.X).nnz == 0 and (
        found.layers["lognorm"] != expected.layers["lognorm"]
    ).nnz == 0
    pd.testing.assert_frame_equal(found.uns["perturbations"], expected.uns["perturbations"])
    assert "No column of times" in found.uns["origin"]["recovered"]


def test_labels_doses_and_structures(put):
    put(hand_made.sciplex_scperturb())
    cells = load(NAME, genes=12)
    assert sorted(cells.obs["perturbation"].unique()) == ["Belinostat", "ENMD-2076", "JQ1", "control"]
    assert sorted(cells.obs["dose_um"].unique()) == [0.0, 0.01, 0.1, 1.0, 10.0]
    assert sorted(cells.obs["replicate"].unique()) == ["plate0", "plate1"]
    table = cells.uns["perturbations"]
    assert list(table.index) == ["control", "Belinostat", "ENMD-2076", "JQ1"]
    assert table.loc["Belinostat", "mechanism"] and (table["inchikey14"].str.len() == [0, 14, 14, 14]).all()
    said = cells.uns["origin"]["recovered"]
    assert (
        "4 compounds under 3 drug names; sharing one: ENMD-2076 (ENMD-2076, ENMD-2076 L-(+)-Tartaric acid)."
        in said
    )


def test_wells_of_72_hours_are_left_out_unless_asked_for_and_then_stand_apart(put):
    put(hand_made.sciplex_scperturb())
    cells = load(NAME, genes=12)
    assert set(cells.obs["time_h"]) == {24.0} and set(cells.obs["context"]) == {"A549", "K562", "MCF7"}
    assert "6 cells of another time than 24 h are left out" in cells.uns["origin"]["recovered"]
    every = load(NAME, genes=12, all_times=True)
    assert every.n_obs == cells.n_obs + 6 and set(every.obs["context"]) == {
        "A549",
        "A549 72 h",
        "K562",
        "MCF7",
    }


@pytest.mark.parametrize(
    ("compound", "name"),
    [
        ("Alvespimycin (17-DMAG) HCl ", "Alvespimycin"),
        ("(+)-JQ1", "JQ1"),
        ("ENMD-2076 L-(+)-Tartaric acid", "ENMD-2076"),
        ("Vehicle", "control"),
        ("control", "control"),
    ],
)
def test_a_compound_is_named_by_the_rule_of_the_drug_table(compound, name):
    assert drug_name(compound) == name


@pytest.mark.parametrize("spelled", ["Glesatinib?(MGCD265)", "Glesatinib(MGCD265)"])
def test_a_stray_question_mark_in_the_table_does_not_hide_a_structure(put, spelled):
    made = hand_made.sciplex_scperturb()
    made.obs["perturbation"] = made.obs["perturbation"].cat.rename_categories({"(+)-JQ1": spelled})
    put(made)
    assert "Glesatinib?(MGCD265)" in set(load(NAME, genes=12).obs["perturbation"])


def test_names_that_fused_fail_and_all_are_listed(put):
    made = hand_made.sciplex_scperturb()
    fused = {"(+)-JQ1": "DasatinibYM155", "Belinostat (PXD101)": "JNJ-26854165TAK-901"}
    made.obs["perturbation"] = made.obs["perturbation"].cat.rename_categories(fused)
    put(made)
    with pytest.raises(
        InputError, match="2 of 3 drugs have no structure.*'DasatinibYM155', 'JNJ-26854165TAK-901'"
    ):
        load(NAME)


def test_structures_of_the_file_itself_come_before_the_table(put):
    made = hand_made.sciplex_chemcpa()
    made.obs["SMILES"] = "CCO"
    put(made)
    cells = load(NAME, genes=12)
    assert cells.uns["origin"]["mapped"]["smiles"] == "SMILES"
    assert set(cells.uns["perturbations"]["smiles"]) == {"", "CCO"}


@pytest.mark.parametrize(
    ("unit", "said"),
    [("mg/ml", "Doses are in 'mg/ml'"), ("uM", "doses '100 uM', '1000 uM', '10000 uM' are none of")],
)
def test_a_wrong_unit_is_refused(put, unit, said):
    made = hand_made.sciplex_scperturb()
    made.obs["dose_unit"] = unit
    put(made)
    with pytest.raises(InputError, match=said):
        load(NAME)


def test_normalised_doses_are_not_taken_for_nanomolar(put):
    made = hand_made.sciplex_chemcpa()
    made.obs["dose"] = made.obs["dose"] / 10_000
    put(made)
    with pytest.raises(InputError, match=r"none of the screen's .* The unit was read as nM"):
        load(NAME)


def test_a_treated_cell_without_a_dose_is_left_out(put):
    made = hand_made.sciplex_scperturb()
    made.obs.loc[made.obs_names[40], "dose_value"] = np.nan
    made.obs.loc[made.obs_names[0], "dose_value"] = np.nan  # a control needs none
    put(made)
    cells = load(NAME, genes=12)
    assert made.obs_names[40] not in cells.obs_names and made.obs_names[0] in cells.obs_names


def test_a_table_whose_columns_were_shuffled_is_refused(put):
    made = hand_made.sciplex_chemcpa()
    rng = np.random.default_rng(0)
    for column in made.obs:
        made.obs[column] = made.obs[column].to_numpy()[rng.permutation(made.n_obs)]
    put(made)
    with pytest.raises(InputError, match="obs\\['cov_drug'\\] disagrees with obs\\['cell_type'\\]"):
        load(NAME)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (799_317, "the size of scPerturb's file"),
        (581_777, "the size of the chemCPA preparation"),
        (649_340, "resembles the number in the paper"),
        (290_888, "the size of no version known here"),
    ],
)
def test_the_three_versions_are_told_apart(cells, said):
    assert said in resembles(cells, 110_983, VERSIONS)
