"""Deviations of doubles from the sum of their singles: by hand, beside their noise, and what a prediction of them is worth."""

import numpy as np
import pandas as pd
import pytest
from hand_made import cells

from perturbook.errors import InputError, ShapeError
from perturbook.evaluation.additivity import additivity, deviation
from perturbook.evaluation.deviation import correlation, derivative, slope
from perturbook.evaluation.mean_profile import pearson_delta
from perturbook.evaluation.within import within_difference, within_halves


def asked(*names):
    return pd.DataFrame({"context": "A", "perturbation": names}, index=[f"A|{name}" for name in names])


def screen(means, n, sd=1.0, seed=0):
    """Normal cells `n` per perturbation about its mean."""
    rng = np.random.default_rng(seed)
    rows = [("A", name, np.nan) for name in means for _ in range(n)]
    values = [5 + rng.normal(mean, sd, (n, len(mean))) for mean in means.values()]
    return cells(rows, np.concatenate(values))


def doubles_of(n_genes, rng, n=40, extra=0.0):
    """Means of singles g0, g1, ... and of their doubles, each the sum of two singles plus `extra` in the first gene."""
    singles = {f"g{i:02d}": rng.normal(0, 1, n_genes) for i in range(2 * n)}
    first = np.eye(1, n_genes)[0]
    pairs = {f"g{2 * i:02d}+g{2 * i + 1:02d}": i for i in range(n)}
    made = {
        name: singles[f"g{2 * i:02d}"] + singles[f"g{2 * i + 1:02d}"] + extra * first
        for name, i in pairs.items()
    }
    return {"control": np.zeros(n_genes), **singles, **made}, list(pairs)


def test_the_deviation_of_two_genes_by_hand():
    control, first, second = np.array([1.0, 1, 1]), np.array([2.0, 1, 0]), np.array([1.0, 3, 0])
    assert deviation(control + [1, 2, -2], first, second, control) == pytest.approx([0, 0, 0])
    assert deviation(np.array([4.0, 3, 0]), first, second, control) == pytest.approx([2, 0, 1])


def test_deviation_and_noise_of_cells_counted_by_hand():
    values = [[1, 1], [1, 3], [2, 2], [4, 2], [1, 1], [1, 1], [5, 0], [5, 4]]
    names = np.repeat(["control", "a", "b", "a+b"], 2)
    found = additivity(cells([("A", name, np.nan) for name in names], values), asked("a+b"), draws=50)
    assert found.deviation[0] == pytest.approx([5 - 3 - 1 + 1, 2 - 2 - 1 + 2])
    assert found.own[0] == pytest.approx([0, 8 / 2])
    assert found.noise[0] == pytest.approx([2 / 2, (2 + 8) / 2])
    row = found.table().iloc[0]
    assert row["size"] == pytest.approx(np.sqrt((4 + 1) / 2)) and row["expected"] == pytest.approx(np.sqrt(3))
    assert row["beyond"] == pytest.approx(1 - 3 / 2.5) and row["own"] == pytest.approx(np.sqrt(2))
    assert row["genes"] == 0.5  # 2 against 1.96 errors of 1; 1 against 1.96 errors of 2.2


def test_additive_doubles_are_as_large_as_their_noise_and_stand_out_by_chance_alone():
    means, names = doubles_of(100, np.random.default_rng(1))
    found = additivity(screen(means, 25), asked(*names))
    table = found.table()
    assert np.mean(found.null**2) == pytest.approx(np.mean(table["expected"] ** 2), rel=0.02)
    assert (table["size"] ** 2).sum() / (table["expected"] ** 2).sum() == pytest.approx(1, abs=0.12)
    assert table["stands_out"].mean() <= 0.1 and table["genes"].mean() == pytest.approx(0.05, abs=0.02)
    inside = ((table["low"] <= table["size"]) & (table["size"] <= table["high"])).mean()
    assert inside >= 0.85


def test_a_planted_deviation_stands_out():
    means, names = doubles_of(30, np.random.default_rng(1), n=10, extra=4.0)
    table = additivity(screen(means, 25), asked(*names)).table()
    assert table["stands_out"].all() and (table["beyond"] > 0.5).all()


def test_neither_the_order_of_cells_nor_other_doubles_change_a_double():
    means, names = doubles_of(8, np.random.default_rng(2), n=4)
    screened = screen(means, 6)
    whole = additivity(screened, asked(*names), draws=30)
    alone = additivity(screened[::-1].copy(), asked(names[2]), draws=30)
    assert np.array_equal(alone.null[0], whole.null[2])
    assert alone.deviation[0] == pytest.approx(whole.deviation[2], abs=1e-12)


def test_what_is_no_double_or_has_no_cells_is_named():
    screened = screen(doubles_of(3, np.random.default_rng(0), n=2)[0], 3)
    with pytest.raises(InputError, match="g00 is no double"):
        additivity(screened, asked("g00"))
    with pytest.raises(InputError, match=r"A has 0 cells of g00\+g02"):
        additivity(screened, asked("g00+g02"))


def test_slope_and_correlation_by_hand():
    measured = np.array([[1.0, 2, 3], [1, 2, 3], [1, 2, 3]])
    predicted = np.array([[2.0, 4, 6], [3, 0, 0], [0, 0, 0]])
    assert slope(measured, predicted, 1e-9)[:2] == pytest.approx([0.5, 1 / 3])
    assert correlation(measured, predicted, 1e-9)[:2] == pytest.approx([1, -np.sqrt(3) / 2])
    assert np.isnan(slope(measured, predicted, 1e-9)[2]) and np.isnan(
        correlation(measured, predicted, 1e-9)[2]
    )
    with pytest.raises(ShapeError):
        slope(measured, predicted[:2], 1e-9)


def test_a_prediction_is_nearer_than_the_sum_exactly_where_its_slope_exceeds_one_half():
    rng = np.random.default_rng(3)
    left, added = rng.normal(size=(300, 12)), rng.normal(size=(300, 12))
    added = added + rng.uniform(0, 1, (300, 1)) * left
    nearer = np.sum((left - added) ** 2, axis=1) < np.sum(left**2, axis=1)
    assert 50 < nearer.sum() < 250
    assert np.array_equal(nearer, slope(left, added, 1e-9) > 0.5)


def test_the_derivative_of_the_correlation_is_its_finite_difference_and_a_gain_does_nothing():
    a, t, r = np.random.default_rng(4).normal(size=(3, 20, 40))
    step = 1e-4
    ends = [pearson_delta(t, a + k * r, 1e-9) for k in (step, -step)]
    assert derivative(a, t, r) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)
    assert np.abs(derivative(a, t, 0.7 * a)).max() < 1e-12
    assert pearson_delta(t, a + 0.7 * a, 1e-9) == pytest.approx(pearson_delta(t, a, 1e-9), abs=1e-12)


def test_the_difference_within_a_condition_is_that_of_the_errors_and_its_bounds_are_those_of_the_cells():
    values = np.random.default_rng(5).normal(1.0, 1.0, (40, 6))
    near, far = np.ones(6), np.full(6, 3.0)
    found = within_difference(values, far, near)
    errors = [np.sqrt(np.mean((one - values.mean(axis=0)) ** 2)) for one in (far, near)]
    assert found.mean == pytest.approx(errors[0] - errors[1], abs=1e-12)
    assert 0 < found.low < found.mean < found.high and found.n_defined == 40
    back = within_difference(values, near, far)
    assert back.mean == pytest.approx(-found.mean) and back.high < 0
    same = within_difference(values, far, far)
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    few = within_difference(values[:5], far, near)
    assert np.isnan(few.low) and few.kind == "every value shown"
    assert np.isnan(within_difference(values, far, np.full(6, np.nan)).mean)
    with pytest.raises(ShapeError, match="same panel"):
        within_difference(values, far[:5], near)


def test_the_interval_covers_the_difference_that_all_cells_would_give():
    rng, first, second = np.random.default_rng(6), np.full(10, 0.3), np.full(10, -0.25)
    held = []
    for _ in range(300):
        values = rng.normal(0.0, 1.0, (60, 10))
        found = within_difference(values, first, second, n=1_000)
        y = values.mean(axis=0)
        scale = np.sqrt(np.mean((first - y) ** 2)) + np.sqrt(np.mean((second - y) ** 2))
        held.append(found.low <= (np.mean(first**2) - np.mean(second**2)) / scale <= found.high)
    assert 0.9 <= np.mean(held) <= 0.985


def test_halvings_of_a_bundle_give_the_interval_of_the_cells():
    rng = np.random.default_rng(7)
    values, first, second = rng.normal(0, 1, (200, 30)), rng.normal(0, 0.3, 30), rng.normal(0, 0.3, 30)
    y = values.mean(axis=0)
    halves = np.array([values[rng.permutation(200)[:100]].mean(axis=0) - y for _ in range(20)])
    of_cells, of_halves = within_difference(values, first, second), within_halves(y, halves, first, second)
    assert of_halves.mean == pytest.approx(of_cells.mean, abs=1e-12)
    errors = sum(np.sqrt(np.mean((one - y) ** 2)) for one in (first, second))
    moved = 2 * halves @ (second - first) / (30 * errors)
    assert of_halves.high - of_halves.mean == pytest.approx(1.96 * np.sqrt(np.mean(moved**2)))
    width = (of_halves.high - of_halves.low) / (of_cells.high - of_cells.low)
    assert 0.6 < width < 1.5
