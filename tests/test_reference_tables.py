"""The page of tables counts, keeps its counts, and shows no row of an origin file."""

import pandas as pd
import pytest

from perturbook import data
from perturbook.errors import DataUnavailable
from perturbook.pages import kept
from perturbook.pages import reference_tables as tables

NAMES = (tables.DRUGS, tables.VOCABULARY, *tables.GENE_SETS)


def test_drugs_are_counted_as_names_parents_and_structures_without_the_control():
    found = pd.DataFrame(
        {
            "smiles": ["CCO", "CCO.Cl", "CCN", ""],
            "parent_smiles": ["CCO", "CCO", "CCN", ""],
            "inchikey14": ["A", "A", "B", ""],
            "pathway": ["x", "x", "y", "Vehicle"],
        },
        index=["a", "b", "c", "control"],
    )
    assert tables.drugs(found).iloc[0].to_dict() == {
        "drugs": 3,
        "parents": 2,
        "structures": 2,
        "fragments": 1,
        "pathways": 2,
    }


def test_a_symbol_that_stands_twice_in_a_set_counts_once():
    sets = {"one": [f"G{i}" for i in range(15)] + ["G0"], "two": ["G1", "H"], "three": ["H", "I", "J"]}
    row = tables.gene_sets("geneset-hallmark", sets)
    assert (row["sets"], row["symbols"], row["smallest"], row["median"], row["largest"]) == (3, 18, 2, 3, 15)
    assert row["usable"] == 1


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    if missing := [name for name in NAMES if not data.available(name)]:
        pytest.skip(f"{missing[0]} is missing: `perturbook data fetch {missing[0]}`")
    folder = tmp_path_factory.mktemp("tables") / "bundle"
    return tables.make("data-tables", folder), folder


def test_the_counts_are_those_of_the_files(made):
    page, _ = made
    assert page.drugs.iloc[0].to_dict() | {"pathways": 0, "fragments": 0} == {
        "drugs": 187,
        "parents": 186,
        "structures": 185,
        "fragments": 0,
        "pathways": 0,
    }
    assert page.sets["sets"].tolist() == [6036, 50, 77] and page.sets["usable"][0] == 2923
    known = page.vocabulary.set_index("data")["known"]
    assert known["norman2019-mini"] == 246 and known["pbmc3k"] == 12300


def test_without_the_files_the_deposit_is_shown_and_said(made, tmp_path, monkeypatch):
    page, folder = made
    (tmp_path / "results" / "data-tables").mkdir(parents=True)
    folder.rename(tmp_path / "results" / "data-tables" / "0")

    def absent(name):
        raise DataUnavailable(f"{name} is not here.")

    monkeypatch.setattr(data, "load", absent)
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    again = tables.make("data-tables", tmp_path / "out")
    assert again.deposited and again.drugs.equals(page.drugs)
    assert "could not be fetched" in tables.banner(again).data
    assert "187" in tables.drug_table(again).data and "90.4%" in tables.vocabulary_table(again).data
