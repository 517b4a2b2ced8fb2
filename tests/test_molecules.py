"""Molecules: one parse, one parent, one identity; and the 64 real molecules of the simulated screen."""

import numpy as np
import pandas as pd
import pytest
from conftest import load_or_skip

from perturbook.data import molecules, simulated_programs
from perturbook.errors import InputError, ShapeError

VORINOSTAT = "O=C(CCCCCCC(=O)Nc1ccccc1)NO"
# Published InChIKeys, stereochemistry included: one molecule of every class.
INCHIKEYS = {
    "Vorinostat": "WAEXFXRVDQXREF-UHFFFAOYSA-N",
    "Camptothecin": "VSJKWCGYPAHWDS-FQEVSTJZSA-N",
    "Dexamethasone": "UREBDLICKHMUKA-CXSFZGCWSA-N",
    "Selumetinib": "CYOHGALHFOKKQC-UHFFFAOYSA-N",
    "Gefitinib": "XGALLCVXEZPNRQ-UHFFFAOYSA-N",
    "Simvastatin": "RYMZZMVNJRMUDD-HGQWONQESA-N",
    "Doxorubicin": "AOJJSUZBOXZQNB-TZSSRYMLSA-N",
    "Nocodazole": "KYRVNWMVYQXFEU-UHFFFAOYSA-N",
    "JQ1": "DNVXATUJJDPFDM-KRWDZBQOSA-N",
    "Geldanamycin": "QTQAWLPCGQOSGP-KSRBKZBZSA-N",
    "Methotrexate": "FBOZXECLQNJBKD-ZDUSSCGKSA-N",
    "Tofacitinib": "UJLAWZDWDVHWOW-YPMHNXCESA-N",
}


@pytest.fixture(scope="module")
def table():
    return simulated_programs.drug_table(simulated_programs.SIZES["default"])


@pytest.fixture(scope="module")
def sciplex3_drugs():
    return load_or_skip("sciplex3-drugs").drop(index="control")


def test_morgan_of_dmso_has_the_six_bits_that_the_specification_lists():
    assert np.flatnonzero(molecules.morgan(["CS(C)=O"])[0]).tolist() == [427, 552, 589, 650, 1057, 1265]


@pytest.mark.parametrize("n_bits", [1024, 2048])
def test_morgan_of_ethanol_has_6_bits_and_of_vorinostat_27(n_bits):
    bits = molecules.morgan(["CCO", VORINOSTAT, ""], n_bits=n_bits)
    assert bits.shape == (3, n_bits) and bits.dtype == np.uint8
    assert bits.sum(1).tolist() == [6, 27, 0]  # the empty string of the control has none


def test_a_salt_and_its_free_acid_are_one_molecule():
    valproic, divalproex = "CCCC(CCC)C(=O)[O-].[Na+]", "CCCC(CCC)C(=O)O.CCCC(CCC)C(=O)[O-].[Na+]"
    assert molecules.parent(valproic) == molecules.parent(divalproex) == "CCCC(CCC)C(=O)O"
    assert molecules.inchikey14(valproic) == molecules.inchikey14(divalproex)
    assert (molecules.morgan([valproic]) == molecules.morgan([divalproex])).all()


def test_stereoisomers_differ_in_smiles_and_share_an_identity():
    r, s = (f"N#CC[C{turn}H](C1CCCC1)n1cc(-c2ncnc3[nH]ccc23)cn1" for turn in ("@", "@@"))
    assert molecules.canonical(r) != molecules.canonical(s)
    assert molecules.inchikey14(r) == molecules.inchikey14(s) == "HFNKQEVNSGCOJV"


@pytest.mark.parametrize("smiles", ["C1CC", "not a molecule", ""])
def test_an_unreadable_structure_is_one_error_naming_drug_and_string(smiles, capfd):
    with pytest.raises(InputError, match=f"SMILES '{smiles}' of drug 'Aspirin'"):
        molecules.parent(smiles, "Aspirin")
    assert capfd.readouterr().err == ""  # RDKit's own lines stay silent


def test_tanimoto_by_hand():
    a = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], dtype=np.uint8)
    b = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=np.uint8)
    np.testing.assert_allclose(molecules.tanimoto(a, b), [[1 / 3, 1, 0], [0, 0, np.nan]])
    with pytest.raises(ShapeError, match=r"\(2, 4\) and \(1, 8\)"):
        molecules.tanimoto(a, np.ones((1, 8)))


def test_the_perturbation_table_begins_with_a_control_without_structure():
    out = molecules.perturbation_table(["Valproic"], ["[Na+].CCCC(CCC)C([O-])=O"], ["HDAC inhibitor"])
    assert out.index.tolist() == ["control", "Valproic"] and (out.loc["control"] == "").all()
    assert out.loc["Valproic"].tolist() == [
        "CCCC(CCC)C(=O)[O-].[Na+]",
        "CCCC(CCC)C(=O)O",
        "NIJJYAXOARWZEE",
        "HDAC inhibitor",
    ]


@pytest.mark.parametrize("names", [["A", "A"], ["A", "control"]])
def test_a_drug_named_twice_or_like_the_control_is_refused(names):
    with pytest.raises(InputError, match=f"stand twice: {names[1]}"):
        molecules.perturbation_table(names, ["C", "CC"], ["x", "x"])


def test_sequences_of_unequal_length_are_refused():
    with pytest.raises(ShapeError, match="2 names, 1 SMILES and 2 mechanisms"):
        molecules.perturbation_table(["A", "B"], ["C"], ["x", "x"])


def test_the_screen_has_64_molecules_in_12_classes_and_no_two_share_an_identity(table):
    assert len(table) == 64 and table.index.is_unique
    assert table["mechanism"].value_counts().between(5, 6).all() and table["mechanism"].nunique() == 12
    assert len({molecules.inchikey14(smiles, name) for name, smiles in table["smiles"].items()}) == 64


def test_structures_are_the_published_ones(table):
    from rdkit import Chem

    found = {name: Chem.MolToInchiKey(molecules.parse(table.loc[name, "smiles"], name)) for name in INCHIKEYS}
    assert found == INCHIKEYS
    assert set(table.loc[list(INCHIKEYS), "mechanism"]) == set(table["mechanism"])


def test_structures_agree_with_sciplex3_where_a_drug_is_in_both(table, sciplex3_drugs):
    both = table.index.intersection(sciplex3_drugs.index)
    assert len(both) == 15
    for name in both:
        assert molecules.inchikey14(table.loc[name, "smiles"]) == sciplex3_drugs.loc[name, "inchikey14"], name


def test_every_sciplex3_drug_has_a_fingerprint(sciplex3_drugs):
    assert molecules.morgan(sciplex3_drugs["smiles"]).any(axis=1).all()


def test_analogues_of_a_class_look_more_alike_than_drugs_of_two_classes(table):
    bits = molecules.morgan(table["smiles"])
    similar = pd.DataFrame(molecules.tanimoto(bits, bits)).to_numpy()
    same = table["mechanism"].to_numpy()[:, None] == table["mechanism"].to_numpy()[None, :]
    np.fill_diagonal(similar, np.nan)
    assert np.nanmean(similar[same]) > 3 * np.nanmean(similar[~same])
