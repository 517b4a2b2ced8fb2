"""PerturbedVAE told features of genes: likeness instead of identity, so that a gene nobody has perturbed can be asked about."""

import numpy as np
import pandas as pd
import pytest
from hand_made import cells, grid

from perturbook.errors import NotApplicable
from perturbook.models import MODELS, Query, Training, gene_terms
from perturbook.models.perturbed_vae import gene_features
from perturbook.models.perturbed_vae.gene_features import GeneFeatures
from perturbook.models.perturbed_vae.predictor import Predictor, cells_of

SHORT = {"epochs": 3, "switches": {"d_nu": 3, "d_iota": 4, "hidden": 16}}
TERMS = {
    "A": {"p1", "p2"},
    "B": {"p2", "p3", "p4"},  # 1/4 with A
    "C": {"p5"},  # 0 with both
    "TWIN": {"p1", "p2"},  # the processes of A
    "LONE": {"p9"},  # like none
    "NEAR": {"p1", "p2", "p6"},  # 2/3 with A, 1/5 with B
}


@pytest.fixture(autouse=True)
def processes(monkeypatch):
    known = {gene: frozenset(names) for gene, names in TERMS.items()}
    monkeypatch.setattr(gene_terms, "_terms", lambda: known)


def training(names=("A", "B", "C", "A+C", "DARK", "B+DARK")):
    made = cells(grid(["K562"], names, doses=(np.nan,), n=8, controls=20))
    made.obs["n_counts"] = 1000.0
    return Training(made)


def query(train, names):
    control = train.cells[train.cells.obs["is_control"].to_numpy()].copy()
    asked = pd.DataFrame({"context": "K562", "perturbation": list(names), "dose_um": np.nan})
    return Query(control, asked)


def told(train):
    return Predictor(**SHORT, features=True).fit(train)


# Features


def test_products_of_codes_are_the_likeness_of_genes_by_hand():
    features = GeneFeatures.of(training())
    assert features.genes == ["A", "B", "C"]
    a, b, c = features.codes(["A", "B", "C"]).astype(float)
    c0 = gene_features.ALIKE
    np.testing.assert_allclose([a @ a, a @ b, a @ c, b @ c], [1 + c0, 0.25 + c0, c0, c0], atol=1e-6)


def test_where_no_process_is_shared_and_none_is_alike_codes_are_identifiers(monkeypatch):
    monkeypatch.setattr(gene_features, "ALIKE", 0.0)
    made = GeneFeatures.of(training(["A", "C"])).codes(["A", "C", "A+C", "control", "LONE"])
    np.testing.assert_allclose(made, [[1, 0], [0, 1], [1, 1], [0, 0], [0, 0]], atol=1e-7)


def test_control_is_zero_and_a_pair_is_the_sum_of_its_genes_in_either_order():
    features = GeneFeatures.of(training())
    a, near, both, other, control = features.codes(["A", "NEAR", "A+NEAR", "NEAR+A", "control"])
    np.testing.assert_allclose(both, a + near, atol=1e-6)
    assert np.array_equal(both, other) and not control.any()


def test_genes_with_the_same_processes_have_one_code_in_training_or_not():
    features = GeneFeatures.of(training(["A", "B", "TWIN"]))
    a, b, twin = features.codes(["A", "B", "TWIN"])
    np.testing.assert_allclose(a, twin, atol=1e-6)
    assert np.isfinite(a).all() and np.abs(a - b).max() > 0.1
    assert np.array_equal(*GeneFeatures.of(training(["A", "B"])).codes(["A", "TWIN"]))


def test_a_linear_map_of_codes_says_of_a_new_gene_what_kernel_regression_says():
    features = GeneFeatures.of(training())
    code = features.codes(["A", "B", "C", "NEAR"]).astype(float)
    values = np.array([3.0, -1.0, 0.5])
    weights = np.linalg.lstsq(code[:3], values, rcond=None)[0]
    c0 = gene_features.ALIKE
    kernel = np.array([[1, 0.25, 0], [0.25, 1, 0], [0, 0, 1]]) + c0
    expected = np.array([2 / 3 + c0, 1 / 5 + c0, c0]) @ np.linalg.solve(kernel, values)
    assert code[3] @ weights == pytest.approx(expected, abs=1e-5)


def test_no_gene_outside_of_training_enters_what_is_fitted(monkeypatch):
    before = GeneFeatures.of(training()).codes(["A", "B+C"])
    more = {gene: frozenset(names) for gene, names in (TERMS | {"LONE": {"p1", "p3"}}).items()}
    monkeypatch.setattr(gene_terms, "_terms", lambda: more)
    assert np.array_equal(GeneFeatures.of(training()).codes(["A", "B+C"]), before)


# Training and prediction


def test_cells_of_a_gene_unknown_to_go_are_left_out_of_training_and_said_to_be():
    train = training()
    made, genes = cells_of(train, "random", False, GeneFeatures.of(train))
    assert genes == ["A", "B", "C"] and np.isfinite(made.codes).all()
    names = train.cells.obs["perturbation"].astype(str)
    assert len(made.environment) == (~names.str.contains("DARK")).sum() == 20 + 4 * 8
    assert Predictor(features=True).describe(train)["codes"] == {
        "features": ["A", "B", "C"],
        "left_out": ["B+DARK", "DARK"],
    }


def test_a_gene_with_the_processes_of_a_seen_one_gets_its_prediction():
    train = training()
    made = told(train).predict(query(train, ["A", "TWIN", "A+B", "B+TWIN", "B"])).mean
    assert np.array_equal(made[0], made[1]) and np.array_equal(made[2], made[3])
    assert np.abs(made[0] - made[4]).max() > 1e-4


def test_a_new_gene_is_defined_where_identifiers_are_not_and_one_unknown_to_go_is_not():
    train = training()
    asked = query(train, ["NEAR", "LONE", "A+NEAR", "A", "DARK", "A+DARK"])
    made = told(train).predict(asked).mean
    assert np.isfinite(made[:4]).all() and np.isnan(made[4:]).all()
    plain = Predictor(**SHORT).fit(train).predict(asked).mean
    assert np.isnan(plain[:3]).all() and np.isfinite(plain[3:]).all()


def test_the_arm_needs_go_and_says_why_it_is_not_there():
    arm = MODELS["perturbed_vae_features"]
    assert arm.needs == (gene_terms.GO,) and MODELS["perturbed_vae"].needs == ()
    with pytest.raises(NotApplicable, match="no perturbed training gene is known to GO"):
        arm(**SHORT).fit(training(["DARK", "DUSK"]))
    drugs = training()
    drugs.cells.obs["kind"] = "drug"
    with pytest.raises(NotApplicable, match="perturbations of this data set are no genes"):
        arm(**SHORT).fit(drugs)
