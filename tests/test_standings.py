"""Standings: hand-checked gains, scaling and intervals; what is undefined stays so."""

import numpy as np
import pandas as pd
import pytest
from hand_made_scores import DOWN, FOUR, PAGE, TO_1, UP, put_text, row, text_of, twelve, write_bundle

from perturbook.errors import InputError
from perturbook.evaluation import compare, summarise
from perturbook.pages.standings import bundle_folders, read_scores, standings
from perturbook.pages.table import pages


@pytest.fixture
def four(tmp_path):
    return standings(write_bundle(tmp_path / PAGE, FOUR), 100)


def test_the_best_floor_has_the_best_mean_and_an_undefined_floor_is_none(four):
    best = row(four, "context_ridge")
    assert best["floor"] == "Mean of training"
    assert best["floor_mean"] == pytest.approx((0.2 + 0.4 + 0.4 + 0.6) / 4)
    assert best["ceiling_mean"] == pytest.approx(0.8)


def test_a_gain_is_paired_over_the_conditions_where_both_are_defined(four):
    best = row(four, "context_ridge")
    assert best["gain"] == pytest.approx((0.1 - 0.1 + 0.1) / 3)
    assert (best["gain_n"], best["n_defined"], best["n_total"]) == (3, 3, 4)


def test_scaled_is_taken_between_floor_and_duplicate_on_the_same_conditions_and_never_clipped(four):
    floor, mine = (0.2 + 0.4 + 0.4) / 3, (0.3 + 0.3 + 0.5) / 3
    assert row(four, "context_ridge")["scaled"] == pytest.approx((mine - floor) / (0.8 - floor))
    assert row(four, "shifted_controls")["scaled"] == pytest.approx((0.25 - 0.4) / (0.8 - 0.4))  # below 0
    assert row(four, "mean_train")["scaled"] == 0
    assert row(four, "half_duplicate")["scaled"] == pytest.approx(1)


def test_where_lower_is_better_a_smaller_value_is_a_positive_gain_over_the_lowest_floor(four):
    best = row(four, "context_ridge", DOWN)
    assert best["floor"] == "Mean of training"
    assert best["gain"] == pytest.approx(0.25)
    assert row(four, "shifted_controls", DOWN)["gain"] == pytest.approx(-0.5)


def test_scaled_is_undefined_where_the_floor_is_better_than_the_duplicate(four):
    assert np.isnan(row(four, "context_ridge", DOWN)["scaled"])


def test_where_1_is_best_the_distance_from_1_decides_on_both_sides(four):
    best = row(four, "context_ridge", TO_1)
    assert best["floor"] == "Controls moved by the mean"  # 0.5 too much beats 1 too little
    assert best["floor_mean"] == pytest.approx(1.5)
    assert best["gain"] == pytest.approx(0.5 - 0.2)
    assert best["scaled"] == pytest.approx((0.5 - 0.2) / 0.5)


def test_an_undefined_predictor_keeps_its_row_with_no_number(four):
    gone = row(four, "no_change")
    assert (gone["n_defined"], gone["n_total"], gone["gain_n"]) == (0, 4, 0)
    assert gone[["mean", "median", "gain", "scaled"]].isna().all()


def test_below_ten_conditions_there_is_no_interval_and_the_row_says_so(four):
    assert four[["low", "high", "gain_low", "gain_high"]].isna().all().all()
    assert set(four.loc[four["n_defined"] > 0, "interval"]) == {"every value shown"}


def test_a_constant_gain_over_twelve_conditions_has_an_interval_without_width(tmp_path):
    board = standings(write_bundle(tmp_path / PAGE, twelve(0.05)), 200)
    best = row(board, "context_ridge")
    assert [best["gain"], best["gain_low"], best["gain_high"]] == pytest.approx([0.05] * 3)
    assert best["low"] < best["mean"] < best["high"]


def test_a_predictor_meets_the_floors_of_its_own_mode(tmp_path):
    values = {
        ("mean_train", "A"): {UP: [0.5, 0.5]},
        ("mean_train", "B"): {UP: [0.1, 0.1]},
        ("no_change", "AB"): {UP: [0.3, 0.3]},
        ("context_ridge", "A"): {UP: [0.6, 0.6]},
        ("context_ridge", "B"): {UP: [0.6, 0.6]},
        ("morgan_ridge", "AB"): {UP: [0.6, 0.6]},
        ("half_duplicate", ""): {UP: [1.0, 1.0]},
    }
    board = standings(write_bundle(tmp_path / PAGE, values), 100)
    assert row(board, "context_ridge", mode="A")["floor"] == "Mean of training (mode A)"
    assert row(board, "context_ridge", mode="B")["floor"] == "No change"
    assert row(board, "morgan_ridge", mode="AB")["floor"] == "Mean of training (mode A)"


def test_a_method_that_is_not_registered_is_a_model_under_its_own_name(tmp_path):
    values = twelve(0) | {("my_net", ""): {UP: np.ones(12)}}
    mine = row(standings(write_bundle(tmp_path / PAGE, values), 100), "my_net")
    assert (mine["predictor"], mine["role"]) == ("my_net", "model")


@pytest.mark.parametrize(
    ("named", "units"),
    [(lambda i: f"drug{i % 8}", "8 blocks"), (lambda i: f"G{i % 6}+G{6 + i % 4}", "10 genes")],
    ids=["drugs", "doubles"],
)
def test_intervals_agree_with_evaluation_for_a_page_of_several_drugs_or_doubles(tmp_path, named, units):
    rng = np.random.default_rng(0)
    values = {
        name: {UP: rng.normal(size=24)}
        for name in (("mean_train", ""), ("context_ridge", ""), ("half_duplicate", ""))
    }
    folder = write_bundle(tmp_path / PAGE, values, drugs=[named(i) for i in range(24)])
    board, (scores, _) = standings(folder, 500), read_scores(folder)
    expected = compare(scores, UP, "context_ridge", "mean_train", n=500)
    best = row(board, "context_ridge")
    assert [best["gain"], best["gain_low"], best["gain_high"]] == pytest.approx(
        expected[["mean", "low", "high"]].tolist()
    )
    means = summarise(scores, n=500).set_index("method")
    assert best["low"] == means.loc["context_ridge", "low"]
    assert best["interval"] == f"95 % bootstrap over {units}"


def test_the_order_of_rows_in_the_file_does_not_matter(tmp_path):
    rng = np.random.default_rng(1)
    values = {name: {UP: rng.normal(size=12)} for name in FOUR}
    one = write_bundle(tmp_path / "one" / PAGE, values)
    other = write_bundle(tmp_path / "other" / PAGE, values)
    table = pd.read_csv(other / "scores.csv.gz", dtype=str, keep_default_na=False)
    table.iloc[::-1].to_csv(other / "scores.csv.gz", index=False)
    by = ["method", "metric"]
    a, b = (standings(folder, 200).sort_values(by).reset_index(drop=True) for folder in (one, other))
    pd.testing.assert_frame_equal(a, b)


def test_scores_of_other_conditions_than_the_truth_are_refused(tmp_path):
    folder = write_bundle(tmp_path / PAGE, FOUR)
    text = text_of(folder / "scores.csv.gz")
    put_text(folder / "scores.csv.gz", text.replace("c00|", "c99|"))
    with pytest.raises(
        InputError, match=r"differ in conditions such as \['c00\|IFN-beta', 'c99\|IFN-beta'\]"
    ):
        standings(folder)


@pytest.mark.parametrize("name", ["scores.csv.gz", "truth.h5ad"])
def test_a_missing_file_is_named(tmp_path, name):
    folder = write_bundle(tmp_path / PAGE, FOUR)
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} does not exist; run the page again"):
        standings(folder)


def test_only_setting_pages_with_scores_are_found_in_reading_order(tmp_path):
    scored = [page.id for page in pages() if page.scored]
    for name in (scored[2], scored[0]):
        write_bundle(tmp_path / name, FOUR)
    (tmp_path / scored[1]).mkdir()
    (tmp_path / "settings").mkdir()
    assert list(bundle_folders(str(tmp_path))) == [scored[0], scored[2]]
