"""Every number of the sci-Plex 3 drug table that its specification states."""

import pandas as pd
import pytest
from conftest import load_or_skip

from perturbook.data import fetch, sciplex3_drugs
from perturbook.errors import InputError


@pytest.fixture(scope="module")
def table():
    return load_or_skip("sciplex3-drugs")


@pytest.fixture(scope="module")
def rows(table):
    return pd.read_csv(*fetch("sciplex3-drugs"), header=None)


def test_187_drugs_and_one_control(table):
    assert len(table) == 188 and table.index.is_unique and table.index[0] == "control"
    assert (table.loc["control"] == "").all()


def test_the_first_row_of_the_file_is_a_drug_and_no_header(table):
    assert table.index[1] == "2-Methoxyestradiol"


def test_the_file_names_its_control_twice_with_and_without_a_pathway(rows):
    controls = rows[rows[0] == "control"]
    assert len(rows) == 189 and set(controls[1]) == {"CS(C)=O"}
    assert controls[2].dropna().tolist() == ["Vehicle"]


def test_twenty_pathways_and_28_structures_of_several_fragments(table):
    drugs = table.drop(index="control")
    assert drugs["pathway"].nunique() == 20 and (drugs["pathway"] != "").all()
    assert drugs["smiles"].str.contains(".", regex=False).sum() == 28


def test_names_hide_shared_structures(table):
    drugs = table.drop(index="control")
    assert drugs["parent_smiles"].nunique() == 186 and drugs["inchikey14"].nunique() == 185
    assert drugs.loc["Divalproex", "parent_smiles"] == drugs.loc["Valproic", "parent_smiles"]
    one, other = drugs.loc["Ruxolitinib"], drugs.loc["S-Ruxolitinib"]
    assert one["parent_smiles"] != other["parent_smiles"] and one["inchikey14"] == other["inchikey14"]


def test_names_are_those_of_the_file(table):
    assert {"ENMD-2076", "JQ1", "Glesatinib?(MGCD265)"} <= set(table.index)
    assert not any(" " in name for name in table.index)


def test_an_unreadable_structure_and_a_drug_named_twice_are_refused(tmp_path):
    path = tmp_path / "drugs.csv"
    path.write_text("A,CCO,x\nB,C1CC,x\n")
    with pytest.raises(InputError, match="SMILES 'C1CC' of drug 'B' cannot be read"):
        sciplex3_drugs.prepare(path)
    path.write_text("A,CCO,x\nA,CCO,x\n")
    with pytest.raises(InputError, match="stand twice: A"):
        sciplex3_drugs.prepare(path)
