"""Encoders of perturbations: fixed numbers, nothing learned from what is tested, and what cannot be read is named."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import load_or_skip

from perturbook.data.molecules import perturbation_table
from perturbook.errors import ConfigError, InputError, NotApplicable
from perturbook.models.backbones import BACKBONES
from perturbook.models.molecules import ENCODERS
from perturbook.models.molecules.rdkit_descriptors import descriptors

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
    assert any_encoder.encode(table, []).shape == (0, any_encoder.width)


def test_settings_are_plain_and_tell_options_apart(any_encoder, table):
    assert json.loads(json.dumps(any_encoder.settings)) == any_encoder.settings
    assert made("morgan", table).settings != made("morgan", table, n_bits=2048).settings
    assert made("random", table).settings != made("random", table, seed=1).settings
    assert made("shuffled", table).settings != made("shuffled", table, of="rdkit").settings


def test_importing_the_package_takes_in_neither_chemistry_nor_transformers():
    code = "import sys, perturbook.models.molecules; print({'torch', 'rdkit', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


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
    for wrong in (0, "1024", True, 1024.0):
        with pytest.raises(ConfigError, match=f"n_bits is {wrong!r}; give a whole number"):
            ENCODERS["morgan"](n_bits=wrong)


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


def test_the_scale_of_descriptors_needs_a_training_drug_and_counts_each_once(table):
    with pytest.raises(NotApplicable, match="without a training drug"):
        ENCODERS["rdkit"]().fit(table, [])
    once, twice = (
        made("rdkit", table, some).encode(table, NAMES) for some in (NAMES[:4], NAMES[:4] + NAMES[:1])
    )
    assert np.array_equal(once, twice)


def test_descriptors_by_hand(table):
    # Weights of ethanol, aspirin and vorinostat: ln(1 + x) of each, standardised over the three.
    from rdkit.Chem import Descriptors

    column = [name for name, _ in Descriptors.descList].index("MolWt")
    names = ["Ethanol", "Aspirin", "Vorinostat"]
    logged = np.log1p([46.069, 180.159, 264.325])
    found = made("rdkit", table, names).encode(table, names)[:, column]
    assert found == pytest.approx((logged - logged.mean()) / logged.std(), abs=1e-4)


def test_a_missing_descriptor_is_the_median_of_training(table, monkeypatch):
    from perturbook.models.molecules import rdkit_descriptors

    given = {
        "Ethanol": [1.0, 0.0],
        "Aspirin": [3.0, np.nan],
        "Vorinostat": [7.0, np.nan],
        "DMSO": [np.nan, np.inf],
    }
    by_smiles = {table.loc[name, "smiles"]: np.array(values) for name, values in given.items()}
    monkeypatch.setattr(rdkit_descriptors, "descriptors", by_smiles.__getitem__)
    training = ["Ethanol", "Aspirin", "Vorinostat"]
    encoder = ENCODERS["rdkit"]().fit(table, training)
    values = np.log1p([1, 3, 7])  # ln 2, ln 4, ln 8: median and mean ln 4, so that a missing value is 0
    assert encoder.encode(table, ["DMSO"]).tolist() == [[0, 0]]
    expected = (values - values.mean()) / values.std()
    assert encoder.encode(table, training)[:, 0] == pytest.approx(expected, abs=1e-6)
    assert encoder.encode(table, training)[:, 1].tolist() == [0, 0, 0]  # known of one drug alone: constant


@pytest.mark.slow
def test_every_drug_of_the_sciplex_table_has_finite_descriptors():
    known = load_or_skip("sciplex3-drugs")
    found = known[known["smiles"] != ""]
    names = found.index.astype(str).tolist()
    raw = np.stack([descriptors(one) for one in found["smiles"]])
    assert (
        raw.shape == (187, 217) and np.isnan(raw).any(axis=0).sum() == 12
    )  # columns without a value for some drug
    assert np.nanmax(raw) > 1e15
    encoder = made("rdkit", found, names)
    values = encoder.encode(found, names)
    assert values.shape == (187, 217) and np.isfinite(values).all() and np.abs(values).max() <= 5
    # The specification counts 21 constant columns over whole salts; phosphoric acid stands in a counter-ion alone.
    assert np.isinf(encoder.scale).sum() == 22


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
    turned = made("shuffled", table).encode(table, NAMES)
    assert np.array_equal(encoder.permute().encode(table, NAMES), turned)


def test_shuffling_is_settled_by_seed_and_table_and_not_by_the_training_drugs(table):
    partners = [made("shuffled", table, seed=seed).partner for seed in range(5)]
    assert partners[0] == made("shuffled", table[::-1], NAMES[::-1]).partner
    assert any(one != partners[0] for one in partners[1:])


def test_nobody_gets_the_vector_of_another_salt_of_itself(table):
    for seed in range(20):
        partner = made("shuffled", table, seed=seed).partner
        assert partner["Valproic"] != "Divalproex" and partner["Divalproex"] != "Valproic"
    with pytest.raises(NotApplicable, match="share one structure"):
        made("shuffled", table.loc[["Valproic", "Divalproex"]], ["Valproic"])
    with pytest.raises(NotApplicable, match="fewer than two perturbations"):
        made("shuffled", table.loc[["Valproic"]], ["Valproic"])


def test_shuffling_of_genes_needs_all_names_and_never_gives_a_gene_its_own_vector():
    names, bare = ["CD4", "LYZ", "TP53"], pd.DataFrame()
    plain = ENCODERS["gene"]().fit(bare, names)
    encoder = ENCODERS["shuffled"](of="gene", names=names).fit(bare, names[:2])
    found = encoder.encode(bare, names)
    assert np.array_equal(found, plain.encode(bare, [encoder.partner[name] for name in names]))
    assert not (found == plain.encode(bare, names)).all(axis=1).any()
    blind = ENCODERS["shuffled"](of="gene").fit(bare, names[:2])
    with pytest.raises(NotApplicable, match="'TP53' had no part in the shuffling"):
        blind.encode(bare, names)


def test_shuffling_a_readers_own_vectors_leaves_out_names_that_have_none(table):
    vectors = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=["DMSO", "Ethanol", "Aspirin"])
    encoder = ENCODERS["shuffled"](of=ENCODERS["table"](vectors)).fit(table, ["DMSO", "Ethanol"])
    assert sorted(encoder.partner) == sorted(vectors.index)
    with pytest.raises(InputError, match="no vector in the table: Valproic"):
        encoder.encode(table, ["Valproic"])


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
        (pd.DataFrame({"a": [1e300]}, index=["x"]), "vector of 'x' is not a row of finite numbers"),
        ("nowhere.csv", "nowhere.csv does not exist"),
    ],
)
def test_a_bad_table_of_vectors_is_refused(vectors, message):
    with pytest.raises(InputError, match=message):
        ENCODERS["table"](vectors=vectors)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"name,a\nx,1\ny,1,2,3\n"])
def test_a_file_that_is_no_table_is_refused(content, tmp_path):
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(InputError, match="mine.csv cannot be read as CSV"):
        ENCODERS["table"](vectors=tmp_path / "mine.csv")


def test_an_encoder_that_needs_something_says_what():
    with pytest.raises(ConfigError, match="needs vectors="):
        ENCODERS["table"]()


def test_vectors_that_differ_have_another_checksum():
    one, other = (
        ENCODERS["table"](pd.DataFrame({"a": [value]}, index=["x"])).settings for value in (1.0, 2.0)
    )
    assert len(one["sha256"]) == 64 and one != other


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
    with pytest.raises(NotApplicable, match="'control' names no gene"):
        encoder.encode(pd.DataFrame(), ["CD4", "control"])


def test_the_gene_encoder_takes_a_model_and_refuses_what_has_no_gene_table():
    model = BACKBONES["random"].make(None).model
    given = ENCODERS["gene"](backbone=model).fit(pd.DataFrame(), ["CD4"])
    named = ENCODERS["gene"](backbone="random").fit(pd.DataFrame(), ["CD4"])
    assert np.array_equal(given.encode(pd.DataFrame(), ["CD4"]), named.encode(pd.DataFrame(), ["CD4"]))
    assert given.settings["sha256"] == named.settings["sha256"] == model.identity
    with pytest.raises(ConfigError, match="backbone 'pca' has no vectors of genes"):
        ENCODERS["gene"](backbone="pca").fit(pd.DataFrame(), ["CD4"])
    with pytest.raises(ConfigError, match="Unknown backbone 'nothing'"):
        ENCODERS["gene"](backbone="nothing").fit(pd.DataFrame(), ["CD4"])
