"""Encoders of perturbations: fixed numbers, nothing learned from what is tested, and what cannot be read is named."""

import numpy as np
import pandas as pd
import pytest
from conftest import load_or_skip

from perturbook.data.molecules import perturbation_table
from perturbook.errors import ConfigError, InputError, NotApplicable
from perturbook.models.backbones import BACKBONES
from perturbook.models.molecules import ENCODERS

DRUGS = {
    "DMSO": "CS(C)=O",
    "Ethanol": "CCO",
    "Vorinostat": "O=C(CCCCCCC(=O)Nc1ccccc1)NO",
    "Aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "Valproic": "CCCC(CCC)C(=O)O",
    "Divalproex": "CCCC(CCC)C(=O)O.CCCC(CCC)C(=O)[O-].[Na+]",
}
NAMES = list(DRUGS)


@pytest.fixture(scope="module")
def table():
    return perturbation_table(NAMES, list(DRUGS.values()), ["none"] * len(DRUGS))


def made(name, table, names=None, **options):
    return ENCODERS[name](**options).fit(table, names or NAMES)


@pytest.fixture(params=["morgan", "rdkit", "random", "shuffled"])
def any_encoder(request, table):
    return made(request.param, table)


def test_a_vector_depends_on_its_own_name_alone(any_encoder, table):
    whole = any_encoder.encode(table, NAMES)
    assert whole.shape == (len(NAMES), any_encoder.width) and whole.dtype == np.float32
    assert np.isfinite(whole).all()
    turned = any_encoder.encode(table, NAMES[::-1])[::-1]
    assert np.array_equal(turned, whole)
    assert np.array_equal(any_encoder.encode(table, [NAMES[2]])[0], whole[2])
    assert set(any_encoder.fitted_on) == set(NAMES)


@pytest.mark.parametrize("name", ["morgan", "rdkit", "shuffled"])
def test_a_drug_without_a_structure_is_named(name, table):
    bare = pd.concat([table, pd.DataFrame({"smiles": [""]}, index=["IFN-beta"])])
    with pytest.raises(NotApplicable, match="no SMILES for IFN-beta"):
        made(name, bare).encode(bare, ["Aspirin", "IFN-beta"])
    with pytest.raises(NotApplicable, match="no SMILES for IFN-beta"):
        made(name, bare, ["Aspirin", "IFN-beta"])
    with pytest.raises(NotApplicable, match="no chemical structure"):
        made(name, pd.DataFrame())


def test_morgan_bits_are_those_of_the_specification(table):
    bits = made("morgan", table, n_bits=2048).encode(table, NAMES)
    assert set(np.flatnonzero(bits[0])) == {427, 552, 589, 650, 1057, 1265}
    assert bits.sum(axis=1)[:3].tolist() == [6, 6, 27]
    assert made("morgan", table).encode(table, NAMES).sum(axis=1)[2] == 27
    assert np.array_equal(bits[NAMES.index("Valproic")], bits[NAMES.index("Divalproex")])
    with pytest.raises(ConfigError, match="n_bits is 0"):
        ENCODERS["morgan"](n_bits=0)


def test_descriptors_are_standardised_over_training_drugs_and_bounded_beyond_them(table):
    training = NAMES[:4]
    encoder = made("rdkit", table, training)
    inside = encoder.encode(table, training)
    moves = encoder.scale < np.inf
    assert inside[:, moves].mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert inside[:, moves].std(axis=0) == pytest.approx(1, abs=1e-4)
    assert (inside[:, ~moves] == 0).all() and not moves.all()
    assert np.abs(encoder.encode(table, NAMES)).max() <= 5
    assert encoder.fitted_on == tuple(sorted(training))


def test_descriptors_of_a_test_drug_do_not_reach_what_is_fitted(table):
    other = table.copy()
    other.loc["Valproic", "smiles"] = "C" * 60
    one, two = (made("rdkit", some, NAMES[:4]).encode(some, NAMES[:4]) for some in (table, other))
    assert np.array_equal(one, two)


@pytest.mark.slow
def test_every_drug_of_the_sciplex_table_has_finite_descriptors():
    known = load_or_skip("sciplex3-drugs")
    found = known[known["smiles"] != ""]
    names = found.index.astype(str).tolist()
    values = made("rdkit", found, names).encode(found, names)
    assert len(values) == 187 and np.isfinite(values).all() and np.abs(values).max() <= 5


def test_a_random_vector_is_a_function_of_name_and_seed(table):
    one = made("random", table, width=400).encode(table, NAMES)
    assert np.array_equal(one, made("random", pd.DataFrame(), width=400).encode(table, NAMES))
    assert not np.array_equal(one, made("random", table, width=400, seed=1).encode(table, NAMES))
    assert one.std() == pytest.approx(1, abs=0.1)
    assert np.abs(np.corrcoef(one) - np.eye(len(NAMES))).max() < 0.25
    with pytest.raises(ConfigError, match="width is 0"):
        ENCODERS["random"](width=0)


def test_shuffled_gives_every_drug_the_vector_of_another_and_every_vector_once(table):
    plain, turned = (made(name, table).encode(table, NAMES) for name in ("morgan", "shuffled"))
    encoder = made("shuffled", table)
    assert all(encoder.partner[name] != name for name in NAMES)
    assert sorted(encoder.partner.values()) == sorted(NAMES)
    for row, name in enumerate(NAMES):
        assert np.array_equal(turned[row], plain[NAMES.index(encoder.partner[name])])
    again = made("shuffled", table, NAMES[:3])
    assert again.partner == encoder.partner


def test_permuting_at_the_test_alone_leaves_training_as_it_is(table):
    encoder = made("shuffled", table, at_test_only=True)
    plain = made("morgan", table).encode(table, NAMES)
    assert np.array_equal(encoder.encode(table, NAMES), plain)
    assert not np.array_equal(encoder.permute().encode(table, NAMES), plain)


def test_a_readers_own_vectors_are_read_by_name_from_a_frame_or_a_file(tmp_path):
    vectors = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}, index=["NA", "TP53"])
    vectors.to_csv(tmp_path / "mine.csv")
    for given in (vectors, tmp_path / "mine.csv", str(tmp_path / "mine.csv")):
        encoder = ENCODERS["table"](vectors=given).fit(pd.DataFrame(), ["NA"])
        assert encoder.encode(pd.DataFrame(), ["TP53", "NA"]).tolist() == [[2, 4], [1, 3]]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (pd.DataFrame({"a": [1.0, 2.0]}, index=["x", "x"]), "given twice for 'x'"),
        (
            pd.DataFrame({"a": [1.0, np.nan]}, index=["x", "y"]),
            "vector of 'y' is not a row of finite numbers",
        ),
        (pd.DataFrame({"a": ["1", "two"]}, index=["x", "y"]), "vector of 'y' is not a row of finite numbers"),
        (pd.DataFrame(), "not a row of finite numbers"),
        ("nowhere.csv", "nowhere.csv does not exist"),
    ],
)
def test_a_bad_table_of_vectors_is_refused(vectors, message):
    with pytest.raises(InputError, match=message):
        ENCODERS["table"](vectors=vectors)


def test_names_without_a_vector_are_all_listed():
    encoder = ENCODERS["table"](vectors=pd.DataFrame({"a": [1.0]}, index=["x"]))
    with pytest.raises(InputError, match="2 perturbations have no vector in the table: y, z"):
        encoder.fit(pd.DataFrame(), ["x", "z", "y"])


def test_a_gene_is_its_row_of_the_models_table_and_a_double_the_sum():
    encoder = ENCODERS["gene"]().fit(pd.DataFrame(), ["TP53", "CD4+LYZ"])
    one, other, both = encoder.encode(pd.DataFrame(), ["CD4", "LYZ", "CD4+LYZ"])
    assert encoder.width == BACKBONES["small"].make(None).model.width == len(one)
    assert both == pytest.approx(one + other, abs=1e-6) and not np.allclose(one, other)
    with pytest.raises(NotApplicable, match="the vocabulary of the backbone lacks 'NOGENE'"):
        encoder.encode(pd.DataFrame(), ["CD4", "NOGENE"])
