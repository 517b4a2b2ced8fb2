"""The floors for gene pairs, unseen genes and batches, on screens small enough to compute by hand."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hand_made import cells, grid
from hypothesis import given, settings
from hypothesis import strategies as st

from perturbook import data, splits
from perturbook.errors import DataUnavailable, NotApplicable
from perturbook.models import MODELS, Query, Training, gene_terms
from perturbook.models.additive_ridge import terms

PAIR_FLOORS = [
    "matching_mean",
    "additive_pairs",
    "additive_zero_fill",
    "additive_mean_fill",
    "stronger_single",
]
ALL = [*PAIR_FLOORS, "additive_ridge", "knn_genes", "pca_ridge"]


def training(rows):
    """Training cells from (context, perturbation) -> profile; doses have no meaning."""
    labels = [(c, p, 0.0 if p == "control" else np.nan) for c, p in rows]
    return Training(cells(labels, list(rows.values())))


def query(controls, asked, batches=None):
    shown = cells([(c, "control", 0.0) for c in controls], list(controls.values()))
    conditions = pd.DataFrame(
        [(c, p, np.nan) for c, p in asked], columns=["context", "perturbation", "dose_um"]
    )
    conditions.index = [f"{c}|{p}" for c, p in asked]
    return Query(shown, conditions, batches=batches)


def predict(name, train, ask):
    return MODELS[name]().fit(train).predict(ask).mean


REST = {"K562": (1.0, 2.0, 3.0)}
SCREEN = {
    ("K562", "control"): (1, 2, 3),
    ("K562", "A"): (3, 2, 3),  # effect (2, 0, 0)
    ("K562", "B"): (1, 3, 2),  # effect (0, 1, -1)
    ("K562", "C"): (2, 2, 3),  # effect (1, 0, 0)
    ("K562", "B+C"): (1, 2, 9),  # effect (0, 0, 6)
    ("RPE1", "control"): (0, 0, 0),
    ("RPE1", "A"): (9, 9, 9),
}
NAN = [np.nan] * 3
MEAN_SINGLE = np.array([1, 1 / 3, -1 / 3])
MEAN_TRAIN = np.array([(2 + 0 + 1 + 0 + 9) / 5, (1 + 9) / 5, (-1 + 6 + 9) / 5])


@pytest.mark.parametrize(
    ("name", "both", "one", "none", "single"),
    [
        ("matching_mean", (1, 0.5, -0.5), (2, 0, 0), MEAN_TRAIN, (2, 0, 0)),
        ("additive_pairs", (2, 1, -1), NAN, NAN, (2, 0, 0)),
        ("additive_zero_fill", (2, 1, -1), (2, 0, 0), (0, 0, 0), (2, 0, 0)),
        ("additive_mean_fill", (2, 1, -1), (2, 0, 0) + MEAN_SINGLE, 2 * MEAN_SINGLE, (2, 0, 0)),
        ("stronger_single", (2, 0, 0), (2, 0, 0), MEAN_SINGLE, (2, 0, 0)),
    ],
)
def test_floors_for_pairs_with_two_one_and_no_single_by_hand(name, both, one, none, single):
    asked = [("K562", label) for label in ("A+B", "A+X", "X+Y", "A", "B+A")]
    got = predict(name, training(SCREEN), query(REST, asked)) - REST["K562"]
    np.testing.assert_allclose(got, [both, one, none, single, both], atol=1e-6)


def test_the_effect_of_a_single_is_that_of_the_same_context():
    asked = [("RPE1", "A+B"), ("K562", "A+B")]
    got = predict("additive_zero_fill", training(SCREEN), query(REST | {"RPE1": (0, 0, 0)}, asked))
    assert got.tolist() == [[9, 9, 9], [3, 3, 2]]


@pytest.mark.parametrize("name", [*PAIR_FLOORS, "additive_ridge"])
def test_floors_for_pairs_are_not_applicable_where_there_is_no_pair(name):
    rows = {("K562", "control"): (1, 2), ("K562", "Aspirin"): (2, 2), ("K562", "Metformin"): (1, 3)}
    with pytest.raises(NotApplicable, match="no double perturbation|training holds 0 doubles"):
        predict(name, training(rows), query({"K562": (1, 2)}, [("K562", "Aspirin")]))


@pytest.mark.parametrize(
    ("name", "context", "asked", "reason"),
    [
        ("additive_pairs", "K562", "A+X", "training lacks a single of every condition asked about"),
        ("additive_mean_fill", "HeLa", "A+B", "training holds no single in the context"),
        ("stronger_single", "HeLa", "A+B", "training holds no single in the context"),
        ("additive_ridge", "K562", "A+B", "training holds 1 doubles of two seen singles; two are needed"),
        ("additive", "K562", "A+B", r"training has no effect for perturbation and dose A\+B$"),
    ],
)
def test_a_floor_that_is_not_defined_says_why(name, context, asked, reason):
    with pytest.raises(NotApplicable, match=reason):
        predict(name, training(SCREEN), query({context: (1, 2, 3)}, [(context, asked)]))


# A screen made by the additive formula


GENES = list("ABCDEFG")


def additive_screen(without=(), scale=lambda a, b: (1.0, 1.0)):
    """Noise-free profiles 20 + d_a + d_b in multiples of 1/8, exact in the float32 of the cells."""
    rng = np.random.default_rng(0)
    effect = {gene: rng.integers(-40, 40, 12) / 8 for gene in GENES}
    rows = {("K562", "control"): np.full(12, 20.0)}
    rows |= {("K562", gene): 20 + effect[gene] for gene in GENES}
    for a, b in combinations(GENES, 2):
        c1, c2 = scale(effect[a], effect[b])
        rows["K562", f"{a}+{b}"] = 20 + c1 * effect[a] + c2 * effect[b]
    return {key: profile for key, profile in rows.items() if key not in without}


TESTED = [("K562", label) for label in ("A+B", "C+D", "E+F", "B+G")]
CONTROLS = {"K562": np.full(12, 20.0)}


def l2(name, rows, asked=TESTED):
    train = training({key: profile for key, profile in rows.items() if key not in asked})
    got = predict(name, train, query(CONTROLS, asked))
    return np.linalg.norm(got - np.array([rows[key] for key in asked]), axis=1)


@pytest.mark.parametrize(
    "name", ["additive_pairs", "additive_zero_fill", "additive_mean_fill", "additive_ridge"]
)
def test_additive_equals_the_truth_on_noise_free_additive_data(name):
    assert l2(name, additive_screen()).max() < 1e-10


def test_additive_is_undefined_where_a_single_is_absent_and_its_variants_are_rows_of_their_own():
    train = training(additive_screen([*TESTED, ("K562", "A")]))
    ask = query(CONTROLS, TESTED)
    got = {name: predict(name, train, ask) for name in ALL[1:4]}
    assert np.isnan(got["additive_pairs"][0]).all() and np.isfinite(got["additive_pairs"][1:]).all()
    for name in ("additive_zero_fill", "additive_mean_fill"):
        assert np.isfinite(got[name]).all()
        np.testing.assert_array_equal(got[name][1:], got["additive_pairs"][1:])


def test_matching_mean_is_half_of_additive_where_both_are_seen():
    rows = additive_screen()
    train, ask = training(rows), query(CONTROLS, TESTED)
    matching, additive = (predict(name, train, ask) - 20 for name in ("matching_mean", "additive_pairs"))
    np.testing.assert_allclose(2 * matching, additive, atol=1e-12)


# additive_ridge


def test_the_terms_of_the_ridge_by_hand():
    x = terms([np.array([0.0, 3]), np.array([4.0, 0])])  # weaker first: orthogonal, norms 3 and 4
    np.testing.assert_allclose(x, [[4, 0, 3, 0, 0, 0], [0, 0, 0, 3, 0, 2.25]])
    x = terms([np.array([2.0, 0]), np.array([1.0, 0])])
    np.testing.assert_allclose(x, [[2, 2, 1, 1, 1, 0.5], [0, 0, 0, 0, 0, 0]])
    assert np.isfinite(terms([np.zeros(2), np.zeros(2)])).all()


def test_ridge_coefficients_recover_a_planted_dominance_that_additive_misses():
    def dominated(a, b):
        strong_first = np.linalg.norm(a) > np.linalg.norm(b)
        return (1.25, 0.5) if strong_first else (0.5, 1.25)

    rows = additive_screen(scale=dominated)
    assert l2("additive_ridge", rows).max() < 1e-2 < 1 < l2("additive_pairs", rows).min()


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4))
def test_ridge_coefficients_follow_cosine_and_norm_ratio(by_cosine, by_ratio):
    def scaled(a, b):
        n = np.linalg.norm(a), np.linalg.norm(b)
        c = 1 + by_cosine * (a @ b) / (n[0] * n[1]) + by_ratio * min(n) / max(n)
        return c, c

    rows = additive_screen(scale=scaled)
    error = l2("additive_ridge", rows).mean()
    assert error < 0.02 or error < 0.1 * l2("additive_pairs", rows).mean()


def test_where_doubles_are_noise_around_additive_the_ridge_stays_close_to_additive():
    rng = np.random.default_rng(1)
    rows = additive_screen()
    noisy = {key: profile + (rng.normal(size=12) if "+" in key[1] else 0) for key, profile in rows.items()}
    train = training({key: profile for key, profile in noisy.items() if key not in TESTED})
    ask = query(CONTROLS, TESTED)
    ridge, additive = (predict(name, train, ask) for name in ("additive_ridge", "additive_pairs"))
    assert np.linalg.norm(ridge - additive) < 0.2 * np.linalg.norm(additive - 20)


# Genes by GO


PROCESSES = {
    "A": {"p1", "p2"},
    "B": {"p1", "p2", "p3"},
    "C": {"p3"},
    "X": {"p1", "p2", "p4"},  # Jaccard 2/3 with A, 2/4 with B, 0 with C
    "Y": {"p3", "p4"},  # 0 with A, 1/4 with B, 1/2 with C
}


@pytest.fixture
def processes(monkeypatch):
    known = {gene: frozenset(names) for gene, names in PROCESSES.items()}
    monkeypatch.setattr(gene_terms, "_terms", lambda: known)


@pytest.mark.parametrize(
    ("k", "asked", "shift"),
    [
        (1, "X", (2, 0, 0)),
        (2, "X", (1, 0.5, -0.5)),
        (1, "Y", (1, 0, 0)),
        (5, "Y", MEAN_SINGLE),  # there are only three
        (1, "A+X", (4, 0, 0)),  # A's own effect and that of A for X
        (1, "X+Y", (3, 0, 0)),
        (1, "A+Z", NAN),  # Z has no process
        (1, "A+B", NAN),  # both are seen: that is the additive floor
    ],
)
def test_an_unseen_gene_does_what_its_nearest_genes_did(processes, monkeypatch, k, asked, shift):
    monkeypatch.setattr(MODELS["knn_genes"], "k", k)
    got = predict("knn_genes", training(SCREEN), query(REST, [("K562", asked), ("K562", "X")]))
    np.testing.assert_allclose(got[0] - REST["K562"], shift, atol=1e-6)


def test_genes_without_a_process_are_no_neighbours_and_ties_go_by_name(processes, monkeypatch):
    monkeypatch.setattr(MODELS["knn_genes"], "k", 1)
    rows = SCREEN | {("K562", "AA"): (50, 50, 50), ("K562", "Q"): (60, 60, 60)}
    known = {gene: frozenset(names) for gene, names in (PROCESSES | {"AA": PROCESSES["A"]}).items()}
    monkeypatch.setattr(gene_terms, "_terms", lambda: known)
    got = predict("knn_genes", training(rows), query(REST, [("K562", "X")]))
    assert got.tolist() == [[3, 2, 3]]  # A, not AA; Q has no process


def test_gene_floors_say_why_there_is_no_go(monkeypatch):
    def absent(name):
        raise DataUnavailable("not fetched")

    gene_terms._terms.cache_clear()
    monkeypatch.setattr(data, "load", absent)
    for name in ("knn_genes", "pca_ridge"):
        assert MODELS[name].needs == ("geneset-go-bp",)
        with pytest.raises(NotApplicable, match="geneset-go-bp is not at hand: not fetched"):
            predict(name, training(SCREEN), query(REST, [("K562", "X")]))
    drugs = training(SCREEN)
    drugs.cells.obs["kind"] = "drug"
    with pytest.raises(NotApplicable, match="perturbations of this data set are no genes"):
        MODELS["knn_genes"]().fit(drugs)
    assert MODELS["no_change"].needs == ()


def test_gene_floors_find_no_gene_that_is_unseen_or_known(processes):
    for name, asked, reason in (
        ("knn_genes", "A+B", "no gene asked about is both unseen and known to GO"),
        ("knn_genes", "Z", "no gene asked about is both unseen and known to GO"),
        ("pca_ridge", "Z", "no gene asked about is measured or known to GO"),
    ):
        with pytest.raises(NotApplicable, match=reason):
            predict(name, training(SCREEN), query(REST, [("K562", asked)]))


def test_the_linear_model_is_the_closed_form_with_rows_of_g_for_measured_genes():
    # Perturbed genes G1, G4, ... are measured. The minimiser is found here for the vectorised problem instead.
    rng = np.random.default_rng(0)
    perturbed = [f"G{i}" for i in (1, 4, 6, 7)]
    rows = {("K562", "control"): np.zeros(9)} | {
        ("K562", gene): rng.integers(-8, 8, 9) / 4 for gene in perturbed
    }
    y = np.stack([rows["K562", gene] for gene in perturbed], axis=1)
    u, s, _ = np.linalg.svd(y - y.mean(axis=0), full_matrices=False)
    g, b = u * s, y.mean(axis=1)
    p = g[[1, 4, 6, 7]]
    kernel = np.kron(p.T @ p + 0.1 * np.eye(4), g.T @ g + 0.1 * np.eye(4))  # column-major vec of W
    w = np.linalg.solve(kernel, (g.T @ (y - b[:, None]) @ p).ravel(order="F")).reshape(4, 4, order="F")
    got = predict(
        "pca_ridge", training(rows), query({"K562": np.zeros(9)}, [("K562", "G0"), ("K562", "G1+G8")])
    )
    np.testing.assert_allclose(got, [b + g @ w @ g[0], b + g @ w @ (g[1] + g[8])], atol=1e-6)


def test_the_linear_model_takes_components_of_go_where_targets_are_not_measured(processes):
    asked = [("K562", label) for label in ("X", "Y", "A+X", "A+Z")]
    got = predict("pca_ridge", training(SCREEN), query(REST, asked))
    assert np.isfinite(got[:3]).all() and np.isnan(got[3]).all()
    # X shares its processes with A and B, Y with C: it must be predicted closer to them.
    assert got[0, 0] - got[1, 0] > 0


def test_the_linear_model_needs_three_conditions_with_features(processes):
    few = {
        key: profile
        for key, profile in SCREEN.items()
        if key[0] == "K562" and key[1] in ("control", "A", "B")
    }
    with pytest.raises(NotApplicable, match="fewer than three training conditions have gene features"):
        predict("pca_ridge", training(few), query(REST, [("K562", "X")]))
    unknown = {("K562", "control"): (1, 2, 3), ("K562", "Z"): (1, 1, 1)}
    with pytest.raises(NotApplicable, match="no perturbed training gene is measured or known to GO"):
        predict("pca_ridge", training(unknown), query(REST, [("K562", "X")]))


# Batches


def batched(rows):
    """Cells from (context, perturbation, batch, profile)."""
    made = cells([(c, p, 0.0 if p == "control" else 10.0) for c, p, _, _ in rows], [row[3] for row in rows])
    made.obs["replicate"] = [row[2] for row in rows]
    return made


PLATES = [
    ("HT115", "control", "P1", (1, 1)),
    ("HT115", "control", "P2", (5, 5)),
    ("HT115", "a", "P1", (2, 1)),  # effect (1, 0)
    ("HT115", "a", "P2", (8, 5)),  # effect (3, 0)
    ("HT115", "b", "P1", (4, 3)),  # effect (3, 2)
]
DESIGN = pd.DataFrame({"P1": [1.0, 0.25], "P2": [0.0, 0.75]}, index=["HT115|x|10", "HT115|y|10"])


def plate_query(batches=DESIGN, names=("x", "y")):
    shown = batched([row for row in PLATES if row[1] == "control"])
    conditions = pd.DataFrame({"context": "HT115", "perturbation": list(names), "dose_um": 10.0})
    conditions.index = [f"HT115|{name}|10" for name in names]
    return Query(shown, conditions, batches=batches)


def test_the_mean_per_batch_takes_each_batchs_controls_and_mean_effect_by_hand():
    got = predict("mean_per_batch", Training(batched(PLATES)), plate_query())
    first, second = np.array([1 + 2, 1 + 1]), np.array([5 + 3, 5 + 0])  # mean effects (2, 1) and (3, 0)
    np.testing.assert_allclose(got, [first, 0.25 * first + 0.75 * second], atol=1e-6)


def test_a_batch_on_which_a_condition_does_not_lie_is_not_asked_for():
    only = [row for row in PLATES if row[2] == "P1" or row[1] == "control"]  # nothing treated on P2
    train = Training(batched(only))
    got = predict("mean_per_batch", train, plate_query(DESIGN.iloc[:1], ("x",)))
    np.testing.assert_allclose(got, [[3, 2]], atol=1e-6)
    with pytest.raises(NotApplicable, match=r"HT115\|P2 has no control or no treated training cell"):
        predict("mean_per_batch", train, plate_query())


def test_a_batch_without_controls_has_no_mean():
    bare = [*PLATES, ("HT115", "a", "P3", (7, 7))]
    train = Training(batched(bare))
    np.testing.assert_array_equal(
        predict("mean_per_batch", train, plate_query()),
        predict("mean_per_batch", Training(batched(PLATES)), plate_query()),
    )
    with pytest.raises(NotApplicable, match=r"HT115\|P3 has no control"):
        predict("mean_per_batch", train, plate_query(DESIGN.rename(columns={"P2": "P3"})))


def test_the_mean_per_batch_needs_two_batches_and_to_know_where_a_condition_lies():
    for made in (batched(PLATES[2:3] + PLATES[:1]), cells([("HT115", "control", 0.0), ("HT115", "a", 1.0)])):
        with pytest.raises(NotApplicable, match="the design has no two plates or batches"):
            MODELS["mean_per_batch"]().fit(Training(made))
    with pytest.raises(NotApplicable, match="on which plates or batches the conditions lie is not known"):
        predict("mean_per_batch", Training(batched(PLATES)), plate_query(None))


# What no floor may depend on


CASES = [
    ("double_seen2", {}),
    ("double_seen1", {"held_out": "A"}),
    ("double_seen0", {"held_out": ["A", "B"]}),
    ("additive_split", {}),
    ("gears", {}),
    ("unseen_single", {}),
]

# Which settings a floor answers is part of its definition; those not named here answer all.
ANSWERS = {
    "additive_pairs": {"double_seen2", "additive_split", "gears"},
    "additive_ridge": {"additive_split", "gears"},
    "knn_genes": {"double_seen1", "double_seen0", "gears", "unseen_single"},
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("setting", "options"), CASES)
def test_no_test_cell_no_row_order_and_no_order_of_questions_reaches_a_prediction(
    monkeypatch, name, setting, options
):
    rng = np.random.default_rng(5)
    known = {gene: frozenset(f"p{i}" for i in range(12) if rng.random() < 0.4) | {"all"} for gene in GENES}
    monkeypatch.setattr(gene_terms, "_terms", lambda: known)
    pairs = ["+".join(pair) for pair in combinations(GENES, 2)]
    adata = cells(grid(["K562"], [*GENES, *pairs], doses=(np.nan,), n=6, controls=8))
    part = splits.split(adata, setting, **options)

    def answer(cells_, order=slice(None)):
        visible = cells_.obs_names[cells_.obs_names.isin(part.visible)]
        shown = cells_[cells_.obs_names.isin(part.query)].copy()
        return predict(name, Training(cells_[visible].copy()), Query(shown, part.conditions.iloc[order]))

    if setting not in ANSWERS.get(name, dict(CASES)):
        with pytest.raises(NotApplicable):
            answer(adata)
        return
    plain = answer(adata)
    defined = np.isfinite(plain).all(axis=1)
    assert (defined | np.isnan(plain).all(axis=1)).all() and defined.any()

    corrupt = adata.copy()
    values = corrupt.layers["lognorm"].toarray()
    values[corrupt.obs_names.isin(part.test)] = np.nan
    corrupt.layers["lognorm"] = type(adata.X)(values)
    np.testing.assert_array_equal(answer(corrupt), plain)

    order = np.random.default_rng(0).permutation(len(part.conditions))
    shuffled = adata[np.random.default_rng(1).permutation(adata.n_obs)].copy()
    np.testing.assert_allclose(answer(shuffled, order), plain[order], rtol=0, atol=1e-10)
