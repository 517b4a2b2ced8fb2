"""Every predictor on screens small enough to compute by hand, and on screens made by its own formula."""

import warnings
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hand_made import cells, grid

from perturbook import data, splits
from perturbook.errors import ConfigError, InputError, LeakError, NotApplicable, ShapeError
from perturbook.models import MODELS, Prediction, Query, Training, perturbed_vae_arms, scdca_arms
from perturbook.models.knn import NearestDrugs
from perturbook.models.mean_effects import at_dose
from perturbook.models.morgan_ridge import PENALTIES, choose_penalty

ORACLE_FREE = sorted(set(MODELS) - {"oracle"} - set(scdca_arms.ARMS)) + ["scdca"]
"""All that answers; of the arms of `scdca`, which differ in switches alone, one."""


def table_of(rows):
    """(context, perturbation, dose) rows and their profiles, from a dictionary or a list of pairs."""
    rows = list(rows.items() if isinstance(rows, dict) else rows)
    return [key for key, _ in rows], [profile for _, profile in rows]


def training(rows, table=None):
    return Training(cells(*table_of(rows), table))


def query(controls, asked, truth=None):
    """Control profiles by context, and the conditions to predict."""
    shown = cells([(c, "control", 0.0) for c in controls], list(controls.values()))
    conditions = pd.DataFrame(asked, columns=["context", "perturbation", "dose_um"])
    conditions.index = [data.condition_key(*row) for row in asked]
    return Query(shown, conditions, truth)


def predict(name, train, ask):
    return MODELS[name]().fit(train).predict(ask).mean


# Two lines at rest, (1, 2) and (3, 0), and two drugs; effects are differences from the line's own control.
REST = {"A549": (1.0, 2.0), "K562": (3.0, 0.0)}
SCREEN = {
    ("A549", "control", 0.0): (1, 2),
    ("K562", "control", 0.0): (3, 0),
    ("A549", "Aspirin", 1.0): (2, 2),  # effect (1, 0)
    ("A549", "Aspirin", 10.0): (4, 2),  # effect (3, 0)
    ("A549", "Metformin", 10.0): (1, 7),  # effect (0, 5)
    ("K562", "Aspirin", 10.0): (4, 2),  # effect (1, 2)
}


# The protocol


def test_effects_are_treated_minus_control_of_the_same_context_by_hand():
    train = training(
        [*SCREEN.items(), (("K562", "Aspirin", 10.0), (6, 4)), (("K562", "control", 0.0), (5, 0))]
    )
    assert train.controls.loc["A549"].tolist() == [1, 2] and train.controls.loc["K562"].tolist() == [4, 0]
    assert train.effects.loc[("A549", "Aspirin", 1.0)].tolist() == [1, 0]
    assert train.effects.loc[("K562", "Aspirin", 10.0)].tolist() == [1, 3]  # means (5, 3) and (4, 0)
    assert len(train.effects) == 4 and list(train.effects.index.names) == [
        "context",
        "perturbation",
        "dose_um",
    ]


def test_mu0_is_the_control_mean_of_each_conditions_context():
    ask = query(REST, [("K562", "x", 1.0), ("A549", "x", 1.0), ("K562", "y", 1.0)])
    assert ask.mu0.tolist() == [[3, 0], [1, 2], [3, 0]]
    assert ask.group("context", "perturbation") == [("K562", "x"), ("A549", "x"), ("K562", "y")]


def test_a_query_with_treated_cells_is_refused():
    conditions = pd.DataFrame({"context": ["A549"], "perturbation": ["Aspirin"], "dose_um": [10.0]})
    with pytest.raises(LeakError, match="4 treated cells, such as c002, were given as controls"):
        Query(cells(*table_of(SCREEN)), conditions)


def test_a_query_without_controls_of_a_context_is_refused():
    with pytest.raises(InputError, match="No control cells are given for K562; add controls"):
        query({"A549": (1, 2)}, [("A549", "x", 1.0), ("K562", "x", 1.0)])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: Prediction(np.array([[1, np.nan], [np.inf, 2], [np.nan, np.nan]])),
            "2 predicted values are not finite, in rows that are not NaN throughout",
        ),
        (lambda: Prediction(np.ones(3)), r"mean has shape \(3,\), expected \(conditions, genes\)"),
        (
            lambda: Prediction(np.ones((2, 3)), variance=np.ones((2, 2))),
            r"variance \(2, 2\) and mean \(2, 3\) differ",
        ),
        (
            lambda: Prediction(np.ones((2, 3)), [np.ones((4, 3))]),
            "cells are given for 1 conditions, means for 2",
        ),
        (
            lambda: Prediction(np.ones((1, 3)), [np.ones((4, 2))]),
            r"cells of shape \(4, 2\) do not fit means of 3",
        ),
    ],
)
def test_a_prediction_that_does_not_fit_itself_is_refused(made, message):
    with pytest.raises(ShapeError, match=message):
        made()


def test_a_condition_may_be_undefined_but_not_all_of_them():
    assert np.isnan(Prediction(np.array([[1.0, 2], [np.nan, np.nan]])).mean[1]).all()
    with pytest.raises(NotApplicable, match="none of the conditions asked about is defined"):
        Prediction(np.full((2, 3), np.nan))


def test_generated_cells_are_summarised_by_mean_and_unbiased_variance():
    made = Prediction.from_cells([np.array([[0.0, 1], [2, 1]]), np.array([[3.0, 0], [3, 6], [3, 0]])])
    assert made.mean.tolist() == [[1, 1], [3, 2]] and made.variance.tolist() == [[2, 0], [0, 12]]
    single = Prediction.from_cells([np.array([[1.0, 2]])])
    assert single.mean.tolist() == [[1, 2]] and np.isnan(single.variance).all()


# The registry


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_has_a_title_a_role_and_a_source(name):
    made = MODELS[name]
    assert made.name == name and made.title and made.role in ("floor", "opponent", "oracle", "model")
    assert "Source:" in made.__doc__


def test_titles_are_unique_and_an_unknown_model_is_refused_with_the_known_ones():
    assert len({made.title for made in MODELS.values()}) == len(MODELS)
    with pytest.raises(
        ConfigError, match="Unknown model 'scgpt'. Known: additive, .*context_ridge, .*knn, .*oracle"
    ):
        MODELS["scgpt"]


def test_all_floors_and_opponents_of_the_specification_are_there():
    asked = (
        "no_change mean_train mean_per_drug mean_per_context additive knn morgan_ridge morgan_ridge_shuffled "
        "matching_mean additive_pairs additive_zero_fill additive_mean_fill stronger_single additive_ridge "
        "knn_genes pca_ridge mean_per_batch"
    )
    assert {*asked.split(), "context_ridge", "oracle", "shifted_controls"} <= set(MODELS)


# Floors by hand


def test_no_change_is_the_control_mean():
    assert predict("no_change", training(SCREEN), query(REST, [("K562", "x", 1.0)])).tolist() == [[3, 0]]


@pytest.mark.parametrize(
    ("dose", "shift"),
    [
        (10.0, (4 / 3, 7 / 3)),  # mean of (3, 0), (0, 5), (1, 2)
        (1.0, (1, 0)),
        (5.0, (5 / 4, 7 / 4)),  # a dose that training does not have: all four
        (np.nan, (5 / 4, 7 / 4)),
    ],
)
def test_mean_train_adds_the_mean_effect_of_the_same_dose(dose, shift):
    got = predict("mean_train", training(SCREEN), query(REST, [("K562", "x", dose)]))
    np.testing.assert_allclose(got, [np.add(REST["K562"], shift)], rtol=1e-6)


@pytest.mark.parametrize(("n", "kept"), [(4, 1), (5, 5), (8, 8)])
def test_a_dose_is_a_dose_of_its_own_from_a_quarter_of_the_perturbations_on(n, kept):
    index = pd.MultiIndex.from_tuples(
        [("K562", f"d{i}", 10.0 if i else 3.0) for i in range(n)],
        names=["context", "perturbation", "dose_um"],
    )
    effects = pd.DataFrame(np.arange(n), index=index)
    assert len(at_dose(effects, 3.0)) == kept and len(at_dose(effects, 10.0)) == n - 1
    assert len(at_dose(effects, 99.0)) == len(at_dose(effects, np.nan)) == n


@pytest.mark.parametrize(("setting", "options"), [("unseen_drug", {}), ("few_shot_context", {"k": 4})])
def test_the_rule_changes_nothing_where_every_perturbation_has_every_dose(simulated, setting, options):
    part = splits.split(simulated, setting, **options)
    effects = Training(simulated[part.visible].copy()).effects
    for context, rows in [("", effects), *effects.groupby(level="context")]:
        for dose in sorted(set(effects.index.get_level_values("dose_um"))):
            same = rows[rows.index.get_level_values("dose_um") == dose]
            pd.testing.assert_frame_equal(at_dose(rows, dose), rows if same.empty else same, obj=context)


def test_each_condition_weighs_the_same_however_many_cells_it_has():
    more = [*SCREEN.items(), *[(("K562", "Aspirin", 10.0), (4, 2))] * 7]
    ask = query(REST, [("K562", "x", 10.0)])
    np.testing.assert_array_equal(
        predict("mean_train", training(more), ask), predict("mean_train", training(SCREEN), ask)
    )


def test_mean_per_context_adds_the_mean_effect_of_the_same_context_and_dose():
    ask = query(REST, [("A549", "x", 10.0), ("A549", "x", 1.0), ("K562", "x", 10.0)])
    expected = [[1 + 1.5, 2 + 2.5], [2, 2], [4, 2]]
    np.testing.assert_allclose(predict("mean_per_context", training(SCREEN), ask), expected, rtol=1e-6)


def test_mean_per_drug_adds_the_mean_effect_of_the_drug_in_other_contexts_only():
    rest = REST | {"MCF7": (0.0, 0.0)}
    train = training(SCREEN | {("MCF7", "control", 0.0): (0, 0)})
    ask = query(rest, [("MCF7", "Aspirin", 10.0), ("A549", "Aspirin", 10.0), ("K562", "Metformin", 10.0)])
    expected = [
        [2, 1],
        [1 + 1, 2 + 2],
        [3 + 0, 0 + 5],
    ]  # mean of (3, 0) and (1, 2); (1, 2) of K562; (0, 5) of A549
    np.testing.assert_allclose(predict("mean_per_drug", train, ask), expected, rtol=1e-6)


def test_shifted_controls_moves_every_control_cell_by_the_mean_effect():
    shown = cells([("K562", "control", 0.0)] * 2 + [("A549", "control", 0.0)], [(2, 0), (4, 0), (1, 2)])
    conditions = pd.DataFrame(
        {"context": ["K562"], "perturbation": ["x"], "dose_um": [1.0]}, index=["K562|x|1"]
    )
    made = MODELS["shifted_controls"]().fit(training(SCREEN)).predict(Query(shown, conditions))
    assert [one.tolist() for one in made.cells] == [[[3, 0], [5, 0]]]
    assert made.mean.tolist() == [[4, 0]] and made.variance.tolist() == [[2, 0]]


def test_shifted_controls_takes_dense_values():
    ask = query(REST, [("K562", "x", 10.0)])
    dense = ask.controls.copy()
    dense.X = dense.layers.pop("lognorm").toarray()
    fitted = MODELS["shifted_controls"]().fit(training(SCREEN))
    np.testing.assert_array_equal(fitted.predict(Query(dense, ask.conditions)).mean, fitted.predict(ask).mean)


def test_the_oracle_returns_the_truth_in_the_order_asked_and_does_not_exist_without_it():
    ask = [("K562", "x", 1.0), ("A549", "x", 1.0)]
    truth = pd.DataFrame([[7.0, 8], [5, 6], [0, 0]], index=["A549|x|1", "K562|x|1", "K562|y|1"])
    assert predict("oracle", training(SCREEN), query(REST, ask, truth)).tolist() == [[5, 6], [7, 8]]
    with pytest.raises(NotApplicable, match="noise-free mean of real cells is not known"):
        predict("oracle", training(SCREEN), query(REST, ask))
    assert [name for name in MODELS if getattr(MODELS[name], "reads_truth", False)] == ["oracle"]


# additive


def additive_screen(alpha, beta, basal, left_out=()):
    """Noise-free profiles basal[c] + alpha[d, q] + beta[c], without the conditions that are left out."""
    rows = {(c, "control", 0.0): basal[c] for c in basal}
    rows |= {(c, d, q): basal[c] + alpha[d, q] + beta[c] for c in basal for d, q in alpha}
    return {key: profile for key, profile in rows.items() if key not in left_out}


@pytest.fixture(scope="module")
def additive():
    # Multiples of 1/8 stay exact in the float32 of the cells.
    rng = np.random.default_rng(0)
    contexts, doses = ["A549", "K562", "MCF7"], [(d, q) for d in "abcd" for q in (1.0, 10.0)]
    alpha, beta, basal = (
        {key: rng.integers(-40, 40, 6) / 8 for key in keys} for keys in (doses, contexts, contexts)
    )
    return alpha, beta, {c: value + 20 for c, value in basal.items()}


def test_additive_equals_the_truth_on_noise_free_additive_data(additive):
    alpha, beta, basal = additive
    asked = [
        ("A549", "a", 1.0),
        ("A549", "a", 10.0),
        ("K562", "b", 1.0),
        ("K562", "b", 10.0),
        ("MCF7", "c", 1.0),
    ]
    got = predict("additive", training(additive_screen(*additive, asked)), query(basal, asked))
    truth = np.array([basal[c] + alpha[d, q] + beta[c] for c, d, q in asked])
    assert np.linalg.norm(got - truth) < 1e-10


@pytest.mark.parametrize(
    ("asked", "left_out", "reason"),
    [
        (("A549", "a", 1.0), [(c, "a", q) for c in ("A549", "K562", "MCF7") for q in (1.0, 10.0)], "perturbation and dose a|1.0"),
        (("A549", "a", 1.0), [(c, "a", 1.0) for c in ("A549", "K562", "MCF7")], "perturbation and dose a|1.0"),
        (("A549", "a", 1.0), [("A549", d, q) for d in "abcd" for q in (1.0, 10.0)], "context A549"),
    ],
)  # fmt: skip
def test_additive_is_not_applicable_where_a_term_is_missing(additive, asked, left_out, reason):
    with pytest.raises(NotApplicable, match=reason.replace("|", r"\|")):
        predict("additive", training(additive_screen(*additive, left_out)), query(additive[2], [asked]))


def test_additive_is_not_applicable_where_nothing_connects_drug_and_context(additive):
    # a is known in A549 only, b in K562 only: the offset between the two lines cannot be learned.
    kept = {("A549", "a"), ("K562", "b")}
    left_out = [(c, d, q) for c in additive[2] for d, q in additive[0] if (c, d) not in kept]
    with pytest.raises(NotApplicable, match=r"does not connect drug and context of A549\|b\|10"):
        train = training(additive_screen(*additive, left_out))
        predict("additive", train, query(additive[2], [("A549", "a", 1.0), ("A549", "b", 10.0)]))


# Where a floor does not exist, it says why


@pytest.mark.parametrize(
    ("name", "asked", "reason"),
    [
        ("mean_per_context", ("MCF7", "Aspirin", 10.0), "training holds no treated cell of MCF7"),
        ("mean_per_drug", ("K562", "unheard", 10.0), "training holds no cell of unheard in another context"),
        (
            "mean_per_drug",
            ("A549", "Metformin", 10.0),
            "training holds no cell of Metformin in another context",
        ),
        ("context_ridge", ("K562", "unheard", 10.0), "training holds no cell of unheard in another context"),
        ("knn", ("K562", "unheard", 10.0), "no chemical structure"),
        ("morgan_ridge", ("K562", "unheard", 10.0), "fewer than 10 training drugs"),
    ],
)
def test_a_model_that_does_not_exist_here_says_why(name, asked, reason):
    ask = query(REST | {"MCF7": (0, 0)}, [asked])
    with pytest.raises(NotApplicable, match=reason):
        predict(name, training(SCREEN | {("MCF7", "control", 0.0): (0, 0)}), ask)


def test_without_treated_training_cells_there_is_no_mean():
    with pytest.raises(NotApplicable, match="training holds no treated cell"):
        controls = {key: profile for key, profile in SCREEN.items() if key[1] == "control"}
        predict("mean_train", training(controls), query(REST, [("K562", "x", 1.0)]))


def test_context_ridge_needs_a_drug_in_two_contexts():
    one = {key: profile for key, profile in SCREEN.items() if key[0] == "A549" or key[1] == "control"}
    with pytest.raises(NotApplicable, match="no drug in two contexts"):
        predict("context_ridge", training(one), query(REST, [("K562", "Aspirin", 10.0)]))


def test_morgan_ridge_says_that_perturbations_have_no_structure():
    rows = {key: (1, 1) for key in grid(["A549"], [f"gene{i}" for i in range(12)], n=1, controls=1)}
    with pytest.raises(NotApplicable, match="have no chemical structure"):
        predict("morgan_ridge", training(rows), query({"A549": (1, 1)}, [("A549", "gene99", 1.0)]))


# Nearest drugs: alcohols, so that a longer chain is less like ethanol


ALCOHOLS = {f"C{n}": "C" * n + "O" for n in range(2, 10)}


def alcohols(**more):
    smiles = ALCOHOLS | more
    return pd.DataFrame({"smiles": [*smiles.values(), ""]}, index=[*smiles, "control"])


def chain_screen(names, contexts=("A549",), doses=(10.0,)):
    """Control 0 and an effect of one gene equal to the number of carbons."""
    rows = {(c, "control", 0.0): (0.0,) for c in contexts}
    return rows | {(c, name, q): (float(name[1:]),) for c in contexts for name in names for q in doses}


def test_knn_averages_the_five_most_similar_drugs():
    train = training(chain_screen([f"C{n}" for n in range(3, 10)]), alcohols())
    got = predict("knn", train, query({"A549": (0.0,)}, [("A549", "C2", 10.0)]))
    assert got.tolist() == [[np.mean([3, 4, 5, 6, 7])]]


def test_knn_breaks_ties_by_name(monkeypatch):
    monkeypatch.setattr(NearestDrugs, "k", 2)
    table = alcohols(C30="CCCCCCO", C20="CCCCCCO", C40="CCCCCCO", C50="C1CC1")  # three names of hexanol
    train = training(chain_screen(["C40", "C30", "C20", "C50"]), table)
    got = predict("knn", train, query({"A549": (0.0,)}, [("A549", "C6", 10.0)]))
    assert got.tolist() == [[25]]  # C20 and C30


def test_knn_takes_neighbours_of_the_same_context_and_dose(monkeypatch):
    monkeypatch.setattr(NearestDrugs, "k", 1)
    rows = chain_screen(["C3", "C5"], ("A549", "K562"), (1.0, 10.0))
    rows[("A549", "C3", 1.0)] = (100.0,)
    del rows[("K562", "C3", 1.0)], rows[("K562", "C3", 10.0)]
    ask = [("A549", "C2", 10.0), ("A549", "C2", 1.0), ("K562", "C2", 10.0)]
    got = predict("knn", training(rows, alcohols()), query({"A549": (0.0,), "K562": (0.0,)}, ask))
    assert got.tolist() == [[3], [100], [5]]  # in K562 the nearest drug was not measured: the next one is


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (("A549", "C3", 10.0), r"the drug itself is in training \(C3\)"),
        (("K562", "C2", 10.0), "training holds no treated cell of K562"),
        (("A549", "nameless", 10.0), "no SMILES for nameless"),
    ],
)
def test_knn_is_not_applicable_to_known_drugs_unknown_contexts_and_missing_structures(asked, reason):
    train = training(chain_screen(["C3", "C4"]), alcohols())
    with pytest.raises(NotApplicable, match=reason):
        predict("knn", train, query({"A549": (0.0,), "K562": (0.0,)}, [asked]))


# Morgan ridge


@pytest.fixture(scope="module")
def molecules():
    """Sixteen real molecules with SMILES and structure keys."""
    return data.load("simulated-drugs", size="small", expectation=False).uns["perturbations"]


def planted(molecules, doses=(10.0,)):
    """Noise-free effects that are linear in the Morgan bits, larger at the larger dose, in two lines."""
    drugs = [name for name in molecules.index if name != "control"]
    bits = data.molecules.morgan(molecules.loc[drugs, "smiles"]).astype(float)
    effect = dict(
        zip(drugs, bits @ np.random.default_rng(0).normal(size=(bits.shape[1], 12)) / 4, strict=True)
    )
    basal = {"A549": np.full(12, 20.0), "K562": np.linspace(10, 30, 12)}
    rows = {(c, "control", 0.0): basal[c] for c in basal}
    return rows | {
        (c, d, q): basal[c] + q / 10 * effect[d] for c in basal for d in drugs for q in doses
    }, basal


def errors(molecules, *names):
    """Root mean square error of each model over all drugs, each predicted from training without its fold."""
    rows, basal = planted(molecules)
    drugs = sorted({d for _, d, _ in rows} - {"control"})
    squares = {name: [] for name in names}
    for held in (drugs[i::4] for i in range(4)):
        train = training({key: profile for key, profile in rows.items() if key[1] not in held}, molecules)
        asked = [key for key in rows if key[1] in held]
        truth = np.array([rows[key] for key in asked])
        for name in names:
            squares[name].append(((predict(name, train, query(basal, asked)) - truth) ** 2).mean())
    return {name: np.sqrt(np.mean(each)) for name, each in squares.items()}


def test_morgan_ridge_finds_a_planted_map_from_structure_and_shuffled_structures_do_not(molecules):
    error = errors(molecules, "morgan_ridge", "morgan_ridge_shuffled", "mean_train")
    assert error["morgan_ridge"] < 0.9 * error["mean_train"]
    assert error["morgan_ridge_shuffled"] > 0.98 * error["mean_train"]


def test_morgan_ridge_has_one_map_per_dose_and_one_over_all_rows_for_other_doses(molecules):
    rows, basal = planted(molecules, (1.0, 10.0))
    held = "Vorinostat"
    train = training({key: profile for key, profile in rows.items() if key[1] != held}, molecules)
    low, high, below, between = (
        predict("morgan_ridge", train, query(basal, [("A549", held, dose)])) - basal["A549"]
        for dose in (1.0, 10.0, 0.01, 4.0)
    )
    np.testing.assert_allclose(10 * low, high, rtol=0.05, atol=0.05)
    np.testing.assert_array_equal(below, between)
    np.testing.assert_allclose(between, (low + high) / 2, rtol=0.2, atol=0.1)


def test_a_dose_of_less_than_a_quarter_of_the_drugs_has_no_map_of_its_own(molecules):
    rows, basal = planted(molecules)
    rows = {key: profile for key, profile in rows.items() if key[1] != "SN-38"}
    odd = ["Vorinostat", "Belinostat"]  # two of fifteen drugs, measured at a dose of their own
    moved = {(c, d, 3.0 if d in odd else q): profile for (c, d, q), profile in rows.items()}
    asked = [("A549", "SN-38", dose) for dose in (3.0, 7.0, 10.0)]
    three, seven, ten = predict("morgan_ridge", training(moved, molecules), query(basal, asked))
    undivided = predict("morgan_ridge", training(rows, molecules), query(basal, asked[2:]))
    np.testing.assert_array_equal(three, seven)
    np.testing.assert_allclose(three, undivided[0], rtol=0, atol=1e-12)
    fewer = {key: profile for key, profile in rows.items() if key[1] not in odd}
    at_ten = predict("morgan_ridge", training(fewer, molecules), query(basal, asked[2:]))
    np.testing.assert_allclose(ten, at_ten[0], rtol=0, atol=1e-12)


def test_morgan_ridge_has_one_map_where_dose_has_no_meaning(molecules):
    rows, basal = planted(molecules)
    undosed = {(c, d, q if d == "control" else np.nan): profile for (c, d, q), profile in rows.items()}
    got = [
        predict(
            "morgan_ridge",
            training({key: profile for key, profile in each.items() if key[1] != "SN-38"}, molecules),
            query(basal, [("A549", "SN-38", dose)]),
        )
        for each, dose in ((rows, 10.0), (undosed, np.nan))
    ]
    np.testing.assert_array_equal(*got)


def test_morgan_ridge_needs_smiles_but_no_structure_keys(molecules):
    rows, basal = planted(molecules)
    rows = {key: profile for key, profile in rows.items() if key[1] != "SN-38"}
    ask = query(basal, [("A549", "SN-38", 10.0)])
    with_keys, without = (
        predict("morgan_ridge", training(rows, t), ask) for t in (molecules, molecules[["smiles"]])
    )
    np.testing.assert_array_equal(with_keys, without)


def test_shuffling_leaves_names_without_structure_aside(molecules):
    rows, basal = planted(molecules)
    rows = {key: profile for key, profile in rows.items() if key[1] != "SN-38"}
    ask = query(basal, [("A549", "SN-38", 10.0)])
    more = pd.concat([molecules, pd.DataFrame({"smiles": [None, ""]}, index=["antibody", "vehicle"])])
    one, other = (predict("morgan_ridge_shuffled", training(rows, table), ask) for table in (molecules, more))
    np.testing.assert_array_equal(one, other)


def test_the_penalty_is_chosen_without_ever_dividing_a_group():
    # The two rows of a group share their features and their effect, which is pure noise. A divided group recognises its
    # other half and asks for no penalty; whole groups show that nothing can be learned.
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(20, 50)), 2, axis=0)
    target = np.repeat(rng.normal(size=(20, 30)), 2, axis=0)
    groups = np.repeat([f"s{i:02d}" for i in range(20)], 2)
    assert choose_penalty(features, target, groups) >= 1000
    assert choose_penalty(features, target, np.arange(40)) == PENALTIES[0]
    order = rng.permutation(40)
    assert choose_penalty(features[order], target[order], groups[order]) >= 1000


def test_a_single_group_takes_the_smallest_penalty_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_penalty(np.eye(4), np.ones((4, 2)), np.repeat("one", 4)) == PENALTIES[0]


# Context-aware ridge


def own_formula(w1=0.4, genes=8):
    """Effects in four lines that obey effect[c] = m[c] (w0 + w1 b[c]) exactly, m being the mean of the other lines.

    Each drug moves a block of genes of its own, in which basal expression is a permutation of one vector. The system
    s = diag(w0 + w1 b) M s has a solution for one w0, the same for all permutations.
    """
    level = np.array([-1.5, -0.5, 0.5, 1.5])
    mean_of_others = (np.ones((4, 4)) - np.eye(4)) / 3

    def top(w0):
        return np.linalg.eigvals(np.diag(w0 + w1 * level) @ mean_of_others).real.max()

    low, high = 0.6, 1.2
    for _ in range(60):
        w0 = (low + high) / 2
        low, high = (w0, high) if top(w0) < 1 else (low, w0)
    orders = list(permutations(range(4)))[::3]
    lines = ["A", "B", "C", "D"]
    basal = {
        c: 5 + np.concatenate([np.repeat(level[order[i]], genes) for order in orders])
        for i, c in enumerate(lines)
    }
    rows = {(c, "control", 0.0): basal[c] for c in lines}
    rng = np.random.default_rng(0)
    for d, order in enumerate(orders):
        values, vectors = np.linalg.eig(np.diag(w0 + w1 * level[list(order)]) @ mean_of_others)
        size = vectors[:, values.real.argmax()].real
        program = np.zeros(genes * len(orders))
        program[d * genes : (d + 1) * genes] = rng.normal(size=genes)
        for i, c in enumerate(lines):
            rows[c, f"drug{d}", 1.0] = basal[c] + size[i] / size.mean() * program
    return rows, w0, w1


def test_context_ridge_recovers_planted_weights_on_data_of_its_own_formula():
    rows, w0, w1 = own_formula()
    fitted = MODELS["context_ridge"]().fit(training(rows))
    assert fitted.weights["w0"] == pytest.approx(w0, abs=0.01)
    assert fitted.weights["w1"] == pytest.approx(w1, abs=0.01)
    assert np.abs(fitted.weights[["g A", "g B", "g C", "g D"]]).max() < 0.01


def test_context_ridge_predicts_a_condition_of_its_own_formula_better_than_the_mean_of_the_drug():
    rows, _, _ = own_formula()
    asked = ("D", "drug0", 1.0)
    basal = {"D": rows["D", "control", 0.0]}
    train = training({key: profile for key, profile in rows.items() if key != asked})
    error = {
        name: np.linalg.norm(predict(name, train, query(basal, [asked])) - rows[asked])
        for name in ("context_ridge", "mean_per_drug")
    }
    assert error["context_ridge"] < 0.05 * error["mean_per_drug"]


def test_context_ridge_takes_a_drug_without_any_effect():
    rows, _, _ = own_formula()
    rows |= {(c, "inert", 1.0): rows[c, "control", 0.0] for c in "ABCD"}
    basal = {"D": rows["D", "control", 0.0]}
    np.testing.assert_allclose(
        predict("context_ridge", training(rows), query(basal, [("D", "inert", 1.0)])), [basal["D"]]
    )


# What no model may depend on


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setitem(scdca_arms.TRAINING, "epochs", 1)
    monkeypatch.setitem(scdca_arms.TRAINING, "least_steps", 2)
    monkeypatch.setitem(scdca_arms.TRAINING, "warmup_steps", 0)


def exact(name):
    """How near two predictions of equal data lie: what is computed in float32 depends on how rows are batched."""
    return 1e-4 if name == "scdca" else 1e-10


@pytest.fixture(scope="module")
def simulated():
    return data.load("simulated-drugs", size="small", expectation=False)


def ask_of(adata, part, order=None):
    conditions = part.conditions if order is None else part.conditions.iloc[order]
    return Query(adata[part.query].copy(), conditions)


def fit(name, adata, part):
    return MODELS[name]().fit(Training(adata[part.visible].copy(), frozenset(part.valid)))


def fit_and_predict(name, adata, part):
    """Predicted means, or the reason why there are none."""
    try:
        return fit(name, adata, part).predict(ask_of(adata, part)).mean
    except NotApplicable as why:
        return str(why)


CASES = [
    ("random_cells", {}),
    ("unseen_combination", {}),
    ("unseen_drug", {}),
    ("few_shot_context", {"k": 4}),
    ("zero_shot_context", {"mode": "B"}),
]
# Which settings a model answers is part of its definition.
ANSWERS = {
    "no_change": {
        "random_cells",
        "unseen_combination",
        "unseen_drug",
        "few_shot_context",
        "zero_shot_context",
    },
    "mean_per_context": {"random_cells", "unseen_combination", "unseen_drug", "few_shot_context"},
    "mean_per_drug": {"random_cells", "unseen_combination", "few_shot_context", "zero_shot_context"},
    "additive": {"random_cells", "unseen_combination", "few_shot_context"},
    "mean_per_condition": {"random_cells"},
    "knn": {"unseen_drug"},
    "context_ridge": {"random_cells", "unseen_combination", "few_shot_context", "zero_shot_context"},
    "mean_per_batch": set(),
    **dict.fromkeys(("matching_mean", "additive_pairs", "additive_zero_fill", "additive_mean_fill"), set()),
    **dict.fromkeys(("stronger_single", "additive_ridge", "knn_genes", "pca_ridge"), set()),
    **dict.fromkeys(
        ("additive_clipped", "additive_shrunken", "anchored_residual", "anchored_latents"), set()
    ),
    **dict.fromkeys(("elastic_net", "random_forest", "knn_codes", "pca_additive", "boosted_anchors"), set()),
    **dict.fromkeys(("discrepancy_vae", "sams_vae"), set()),
    **dict.fromkeys(perturbed_vae_arms.ARMS, set()),
}


@pytest.mark.parametrize("name", ORACLE_FREE)
@pytest.mark.parametrize(("setting", "options"), CASES)
def test_no_test_cell_no_row_order_and_no_order_of_questions_reaches_a_prediction(
    simulated, name, setting, options
):
    part = splits.split(simulated, setting, **options)
    plain = fit_and_predict(name, simulated, part)
    answered = setting in ANSWERS.get(name, ANSWERS["no_change"])
    assert isinstance(plain, str) != answered
    if not answered:
        return

    corrupt = simulated.copy()
    hidden = np.repeat(corrupt.obs_names.isin(part.test), np.diff(corrupt.layers["lognorm"].indptr))
    corrupt.layers["lognorm"].data[hidden] = np.nan
    corrupt.X.data[hidden] = np.nan
    np.testing.assert_array_equal(fit_and_predict(name, corrupt, part), plain)

    rng = np.random.default_rng(0)
    shuffled = simulated[rng.permutation(simulated.n_obs)].copy()
    visible = shuffled.obs_names[shuffled.obs_names.isin(part.visible)]
    fitted = MODELS[name]().fit(Training(shuffled[visible].copy()))
    controls = shuffled[shuffled.obs_names.isin(part.query)].copy()
    order = rng.permutation(len(part.conditions))
    again = fitted.predict(Query(controls, part.conditions.iloc[order])).mean
    np.testing.assert_allclose(again, plain[order], rtol=0, atol=exact(name))


@pytest.mark.parametrize("name", ORACLE_FREE)
def test_in_mode_b_the_controls_of_the_held_out_context_cannot_change_what_is_fitted(simulated, name):
    part = splits.split(simulated, "zero_shot_context", mode="B")
    plain = fit_and_predict(name, simulated, part)
    other = simulated.copy()
    there = np.repeat(other.obs_names.isin(part.query), np.diff(other.layers["lognorm"].indptr))
    other.layers["lognorm"].data[there] += 1
    if isinstance(plain, str):
        assert fit_and_predict(name, other, part) == plain
        return
    fitted = fit(name, other, part)
    np.testing.assert_array_equal(fitted.predict(ask_of(simulated, part)).mean, plain)


@pytest.mark.parametrize("name", [name for name in ORACLE_FREE if ANSWERS.get(name) != set()])
def test_a_prediction_does_not_depend_on_the_other_conditions_asked(simulated, name):
    setting = {"knn": "unseen_drug", "mean_per_condition": "random_cells"}.get(name, "few_shot_context")
    part = splits.split(simulated, setting)
    fitted = fit(name, simulated, part)
    together = fitted.predict(ask_of(simulated, part)).mean
    alone = fitted.predict(ask_of(simulated, part, [3])).mean
    np.testing.assert_allclose(alone[0], together[3], rtol=0, atol=exact(name))


def test_the_mean_of_the_same_condition_is_its_own_training_mean_and_undefined_elsewhere(screen):
    train = Training(screen)
    asked = train.profiles.obs[~train.profiles.obs["is_control"]]
    query = Query(screen[screen.obs["is_control"].to_numpy()].copy(), asked)
    found = MODELS["mean_per_condition"]().fit(train).predict(query)
    rows = train.profiles.obs.index.get_indexer(asked.index)
    assert np.allclose(found.mean, train.profiles.mean[rows])
    without = screen[~((screen.obs["perturbation"] == "Aspirin") & (screen.obs["context"] == "K562"))].copy()
    with pytest.raises(NotApplicable, match="training holds no cell of Aspirin in K562"):
        MODELS["mean_per_condition"]().fit(Training(without)).predict(query)
