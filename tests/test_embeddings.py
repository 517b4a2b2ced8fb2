"""Scores of embeddings: values by hand, what must not change them, what ignorance and knowledge must score."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples
from sklearn.neighbors import KNeighborsClassifier

from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.evaluation.embedding_depth import PENALTIES, depth_r2
from perturbook.evaluation.embedding_intervals import bootstrap_cells, bootstrap_cells_difference
from perturbook.evaluation.embedding_scores import SCORES, embedding_scores
from perturbook.evaluation.embeddings import condition_auroc, distances, silhouette, type_knn

LINE = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.5]])
TWO = np.array(["a", "a", "a", "b", "b", "b"])


def random_cells(n=400, seed=0, spread=1.0):
    """Points around four centres; type, treated or not, depth, all related to place by `spread`."""
    rng = np.random.default_rng(seed)
    types, treated = rng.integers(4, size=n), rng.random(n) < 0.5
    centres = rng.normal(scale=4 * spread, size=(4, 6))
    points = rng.normal(size=(n, 6)) + centres[types] + spread * 1.5 * treated[:, None]
    return points, types.astype(str), treated, spread * points[:, 0] + rng.normal(size=n)


def test_distances_are_those_of_the_definition():
    points = np.array([[3.0, 0.0], [0.0, 4.0], [6.0, 0.0]])
    np.testing.assert_allclose(distances(points), [[0, 5, 3], [5, 0, 52**0.5], [3, 52**0.5, 0]])
    np.testing.assert_allclose(distances(points, "cosine"), [[0, 1, 0], [1, 0, 1], [0, 1, 0]], atol=1e-12)


def test_distances_keep_their_digits_far_from_the_origin():
    np.testing.assert_allclose(distances(LINE + 1e6), distances(LINE), atol=1e-6)


def test_the_type_of_neighbours_by_hand():
    types = np.array(["a", "a", "b", "b", "b", "a"])
    # nearest two of each cell on the line: 1,2 | 0,2 | 1,0 | 4,5 | 3,5 | 4,3
    np.testing.assert_array_equal(type_knn(distances(LINE), types, k=2), [0.5, 0.5, 0, 0.5, 0.5, 0])
    # nearest one: 1 | 0 | 1 | 4 | 3 | 4, ties in distance by position
    np.testing.assert_array_equal(type_knn(distances(LINE), types, k=1), [1, 1, 0, 1, 1, 0])


def test_neighbours_of_the_other_condition_alone_by_hand():
    treated = np.array([False, True, False, True, False, True])
    # nearest one of the other condition: 1 | 0 | 1 | 4 | 3 | 4
    types = np.array(["a", "a", "b", "b", "b", "b"])
    np.testing.assert_array_equal(
        type_knn(distances(LINE), types, k=1, condition=treated), [1, 1, 0, 1, 1, 1]
    )
    found = type_knn(distances(LINE), types, k=3, condition=np.array([True] * 2 + [False] * 4))
    assert np.isnan(found[2:]).all() and not np.isnan(found[:2]).any()  # two cells cannot be three neighbours


def test_the_silhouette_by_hand():
    values = silhouette(distances(LINE), TWO)
    a, b = 1.5, (10 + 11 + 12.5) / 3
    assert values[0] == pytest.approx((b - a) / b)
    assert np.isnan(silhouette(distances(LINE), np.array(["a"] * 5 + ["b"]))[5])
    assert np.isnan(silhouette(distances(LINE), np.array(["a"] * 6))).all()


def test_the_condition_of_neighbours_by_hand():
    treated = np.array([True, True, False, False])
    between = distances(np.array([[0.0], [1.0], [1.5], [4.0]]))
    # shares of right pairs 0.75, 0.5, 0.5, 0.75, the AUROC is 0.625, and each condition is half of the cells;
    # nearest of both cells, y is treated: (0, 2) y y, (0, 3) y n, (1, 2) y y, (1, 3) n n
    np.testing.assert_array_equal(
        condition_auroc(between, np.zeros(4), treated, k=1), [0.875, 0.375, 0.375, 0.875]
    )
    # shares 0.25, 0.5, 0.5, 0.25: (0, 1) y y, (0, 3) n y, (2, 1) y y, (2, 3) n n
    treated = np.array([True, False, True, False])
    np.testing.assert_array_equal(
        condition_auroc(between, np.zeros(4), treated, k=1), [0.125, 0.625, 0.625, 0.125]
    )


def test_the_condition_score_leaves_both_cells_of_a_pair_out():
    points, types, treated, _ = random_cells(90)
    types, between, k = np.zeros(90), distances(points), 5
    found = condition_auroc(between, types, treated, k=k)
    for i in (0, 11, 40):
        values = []
        for j in np.flatnonzero(treated != treated[i]):
            rest = np.delete(np.arange(90), [i, j])
            share = [treated[rest][np.argsort(between[one][rest], kind="stable")[:k]].sum() for one in (i, j)]
            sign = np.sign(share[0] - share[1]) * (1 if treated[i] else -1)
            values.append(sign / 2 + 0.5)
        of_its_condition = (treated == treated[i]).sum()
        auroc = found.mean()
        assert found[i] == pytest.approx(auroc + 90 / of_its_condition * (np.mean(values) - auroc))


def test_the_spread_of_the_condition_score_is_that_of_an_auroc():
    # DeLong's standard error of an AUROC, neighbours held fixed as the interval holds them
    rng = np.random.default_rng(0)
    treated = np.arange(120) < 40
    points = rng.normal(size=(120, 1)) + treated[:, None]
    found = condition_auroc(distances(points), np.zeros(120), treated, k=15)
    share = (
        (found - found.mean()) * np.where(treated, 40, 80) / 120
    )  # of pairs that come out right, minus the AUROC
    standard_error = np.sqrt(share[treated].var() / 40 + share[~treated].var() / 80)
    interval = bootstrap_cells(found, np.zeros(120), n=4000)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * standard_error, rel=0.05)


def test_the_depth_by_a_line_by_hand():
    # three cells on a line, depth twice their place: the other two always predict the third
    place = np.array([[0.0], [1.0], [3.0]])
    np.testing.assert_allclose(depth_r2(place, 2 * place[:, 0]), 1, atol=1e-9)
    # all cells at one place: the mean of the others is all there is
    np.testing.assert_allclose(
        depth_r2(np.ones((3, 2)), np.array([1.0, 2.0, 4.0])), 1 - np.array([4, 0.25, 6.25]) / 3.5
    )
    assert np.isnan(depth_r2(place, np.ones(3))).all()


def test_the_depth_equals_refitting_without_each_cell():
    rng = np.random.default_rng(0)
    points, types = rng.normal(size=(30, 4)), np.repeat(["a", "b"], 15)
    depth = points @ [1.0, -1.0, 0.5, 0.0] + 3 * (types == "b") + rng.normal(size=30)
    dummies = np.stack([types == one for one in ("a", "b")], axis=1).astype(float)
    centred = points - dummies @ (dummies.T @ points / 15)
    errors = []
    for penalty in PENALTIES * np.linalg.svd(centred, compute_uv=False)[0] ** 2:
        e = []
        for i in range(30):
            rest = np.arange(30) != i
            design = np.hstack([dummies, points])
            ridge = np.diag([0.0, 0.0] + [penalty] * 4)
            beta = np.linalg.solve(design[rest].T @ design[rest] + ridge, design[rest].T @ depth[rest])
            e.append(depth[i] - design[i] @ beta)
        errors.append(np.array(e))
    best = min(errors, key=lambda e: np.mean(e**2))
    e0 = [depth[i] - depth[(types == types[i]) & (np.arange(30) != i)].mean() for i in range(30)]
    np.testing.assert_allclose(
        depth_r2(points, depth, types), 1 - best**2 / np.mean(np.square(e0)), atol=1e-9
    )


def test_scores_equal_those_of_scikit_learn_where_it_has_them():
    points, types, *_ = random_cells(120)
    between = distances(points)
    np.testing.assert_allclose(silhouette(between, types), silhouette_samples(points, types))
    for i in (0, 17, 50):
        rest = np.arange(120) != i
        vote = KNeighborsClassifier(7).fit(points[rest], types[rest])
        tied = np.sort(vote.predict_proba(points[[i]])[0])[-2:]
        if tied[0] < tied[1]:
            assert type_knn(between, types, k=7)[i] == (vote.predict(points[[i]])[0] == types[i])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_turning_an_embedding_changes_no_score(metric):
    points, types, treated, depth = random_cells()
    turned = points @ np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    scores = [embedding_scores(one, types, depth, treated, metric=metric) for one in (points, turned)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-9)


def test_shifting_scaling_and_reordering_cells_change_no_score():
    points, types, treated, depth = random_cells()
    order = np.random.default_rng(2).permutation(len(points))
    scores = embedding_scores(points, types, depth, treated)
    np.testing.assert_allclose(embedding_scores(3 * points + 7, types, depth, treated), scores, atol=1e-9)
    shuffled = embedding_scores(points[order], types[order], depth[order], treated[order])
    np.testing.assert_allclose(shuffled, scores.iloc[order], atol=1e-9)


def test_an_embedding_that_knows_nothing_scores_what_the_table_says():
    means = []
    for seed in range(16):
        points, types, treated, depth = random_cells(seed=seed, spread=0.0)
        means.append(embedding_scores(points, types, depth, treated).mean())
    found = np.mean(means, axis=0)
    np.testing.assert_allclose(found[:2], 1 / 4, atol=0.04)
    assert -0.05 < found[2] <= 0
    assert found[3] == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(found[4:], 0, atol=0.015)


def test_separate_types_score_1_and_equal_cells_a_silhouette_of_1():
    rng = np.random.default_rng(0)
    types = np.repeat(["a", "b", "c"], 30)
    centres = np.repeat(np.eye(3) * 100, 30, axis=0)
    points = centres + rng.normal(size=(90, 3))
    treated = np.tile([True, False], 45)
    scores = embedding_scores(points, types, rng.normal(size=90), treated)
    assert (scores[["type_knn", "type_knn_across"]] == 1).all(axis=None)
    assert scores["silhouette"].min() > 0.95
    np.testing.assert_array_equal(silhouette(distances(centres), types), np.ones(90))
    apart = points + 20 * treated[:, None]
    np.testing.assert_allclose(condition_auroc(distances(apart), types, treated, k=14), 1)


def test_depth_between_types_is_not_counted_within_them():
    rng = np.random.default_rng(3)
    types = np.repeat(["a", "b"], 100)
    points = np.repeat([[0.0, 0.0], [50.0, 0.0]], 100, axis=0) + rng.normal(size=(200, 2))
    depth = np.repeat([0.0, 5.0], 100) + rng.normal(size=200)
    assert depth_r2(points, depth).mean() > 0.8
    assert abs(depth_r2(points, depth, types).mean()) < 0.05


def test_columns_about_conditions_are_missing_without_conditions():
    points, types, _, depth = random_cells(80)
    assert list(embedding_scores(points, types, depth)) == [
        "type_knn",
        "silhouette",
        "depth_r2",
        "depth_r2_within",
    ]
    assert list(embedding_scores(points, types, depth, types == "0")) == list(SCORES)


def test_small_types_are_undefined_where_neighbours_must_be_of_the_type():
    points, types, treated, depth = random_cells(200)
    types = np.where(np.arange(200) < 10, "rare", types)
    between = distances(points)
    rare = types == "rare"
    assert np.isnan(condition_auroc(between, types, treated)[rare]).all()
    types[:10] = [f"alone {i}" for i in range(10)]
    assert np.isnan(depth_r2(points, depth, types)[rare]).all()
    assert not np.isnan(depth_r2(points, depth, types)[~rare]).any()
    assert not np.isnan(type_knn(between, types)[rare]).any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: distances(np.ones(3)), ShapeError, "expected .cells, width"),
        (lambda: distances(np.array([[1.0], [np.nan]])), InputError, "1 of 2 cells"),
        (lambda: distances(np.zeros((2, 1)), "cosine"), InputError, "zero vectors"),
        (lambda: distances(LINE, "manhattan"), ConfigError, "manhattan"),
        (lambda: distances(np.zeros((12_001, 1))), InputError, "at random"),
        (lambda: type_knn(LINE, TWO), ShapeError, "make them by"),
        (lambda: type_knn(distances(LINE), TWO[:5]), ShapeError, "each of the 6 cells"),
        (lambda: type_knn(distances(LINE), np.array([None, *TWO[1:]], dtype=object)), InputError, "no label"),
        (lambda: type_knn(distances(LINE), TWO, k=0), ConfigError, "k is 0"),
        (lambda: depth_r2(LINE, np.full(6, np.inf)), InputError, "finite log total"),
        (lambda: condition_auroc(distances(LINE), TWO, np.ones(3)), ShapeError, "treated has shape"),
        (lambda: bootstrap_cells(np.ones(3), np.ones(2)), ShapeError, "one of each per cell"),
        (lambda: bootstrap_cells_difference(np.ones(3), np.ones(2), np.ones(3)), ShapeError, "same cells"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_rare_type_weighs_as_much_as_a_common_one_when_balanced():
    values, types = np.array([1.0] * 90 + [0.0] * 10), np.array(["a"] * 90 + ["b"] * 10)
    assert bootstrap_cells(values, types).mean == pytest.approx(0.5)
    assert bootstrap_cells(values, types, balanced=False).mean == pytest.approx(0.9)
    # strata are kept, and within them nothing varies
    assert bootstrap_cells(values, types).low == bootstrap_cells(values, types).high == pytest.approx(0.5)


def test_the_interval_of_one_type_is_as_wide_as_the_formula_says():
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap_cells(values, np.zeros(400))
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.012)
    assert found.high == pytest.approx(values.mean() + half, abs=0.012)


def test_undefined_cells_are_left_out_and_counted():
    values = np.array([np.nan] * 5 + [1.0] * 20)
    found = bootstrap_cells(values, np.array(["a"] * 5 + ["b"] * 20))
    assert (found.mean, found.n_defined, found.n_total) == (1.0, 20, 25)
    assert bootstrap_cells(values[:5], np.zeros(5)).kind == "undefined"
    assert np.isnan(bootstrap_cells(values[:14], np.zeros(14)).low)


def test_resamples_depend_on_the_seed_and_not_on_the_order_of_cells():
    rng = np.random.default_rng(0)
    values, types, order = rng.random(50), rng.integers(3, size=50), rng.permutation(50)
    assert bootstrap_cells(values[order], types[order]) == bootstrap_cells(values, types)
    assert bootstrap_cells(values, types, seed=1).low != bootstrap_cells(values, types).low


def test_identical_embeddings_differ_by_exactly_nothing_and_a_constant_by_itself():
    values, types = np.random.default_rng(0).random(60), np.repeat(["a", "b"], 30)
    same = bootstrap_cells_difference(values, values, types)
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    moved = bootstrap_cells_difference(values + 0.25, values, types)
    np.testing.assert_allclose([moved.mean, moved.low, moved.high], 0.25)


def test_a_paired_interval_is_narrower_than_what_both_embeddings_share():
    rng = np.random.default_rng(0)
    shared, types = rng.normal(size=200), np.repeat(["a", "b"], 100)
    first, second = shared + 0.1 * rng.normal(size=200), shared
    paired, alone = bootstrap_cells_difference(first, second, types), bootstrap_cells(first, types)
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)
