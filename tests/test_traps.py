"""Each trap of the Scores chapter springs on the small simulated screen, and the numbers behind it are right."""

import numpy as np
import pandas as pd
import pytest

from perturbook import data
from perturbook.data import Profiles
from perturbook.pages import traps


@pytest.fixture(scope="module")
def profiles():
    return data.pseudobulk(data.load("simulated-drugs", size="small", expectation=False))


@pytest.fixture
def by_hand():
    """Two lines, two drugs, two doses, two genes: line B is line A moved by 10, drug 2 does nothing."""
    rows, mean = [], []
    for shift, context in ((0, "A"), (10, "B")):
        rows.append((context, "control", 0.0, True))
        mean.append([0 + shift, 1 + shift])
        for drug, effect in (("one", 1), ("two", 0)):
            for dose in (1.0, 10.0):
                rows.append((context, drug, dose, False))
                mean.append([shift, 1 + shift + effect * dose])
    obs = pd.DataFrame(rows, columns=["context", "perturbation", "dose_um", "is_control"])
    obs.index = [f"{c}|{p}|{d:g}" for c, p, d, _ in rows]
    return Profiles(
        obs=obs.rename_axis("condition").assign(n_cells=5),
        mean=np.array(mean, dtype=float),
        variance=np.ones((len(rows), 2)),
        genes=np.array(["g1", "g2"]),
    )


def test_each_treated_condition_gets_the_control_of_its_own_line(by_hand):
    obs, mean, control = traps.treated(by_hand)
    assert not obs["is_control"].any()
    np.testing.assert_array_equal(control[:, 0], np.where(obs["context"] == "A", 0, 10))
    assert mean.shape == control.shape == (8, 2)


def test_the_highest_dose_is_paired_with_the_same_drug_one_dose_lower(by_hand):
    obs, mean, control, lower = traps.strongest(by_hand)
    assert (obs["dose_um"] == 10).all() and len(obs) == 4
    np.testing.assert_array_equal(mean[:, 1] - control[:, 1], [10, 0, 10, 0])
    np.testing.assert_array_equal(lower[:, 1] - control[:, 1], [1, 0, 1, 0])


def test_no_change_scores_by_hand_and_falls_with_dose(by_hand, profiles):
    score = traps.no_change_by_dose(by_hand).set_index("condition")["r2_mean"]
    assert score["A|two|10"] == 1
    # means (0, 2) against (0, 1): the error is 1, the spread about the average of 1 is 2
    assert score["A|one|1"] == pytest.approx(1 - 1 / 2)
    by_dose = traps.no_change_by_dose(profiles).groupby("dose_um")["r2_mean"].mean()
    assert by_dose.is_monotonic_decreasing and by_dose.iloc[0] > 0.8


def test_overshoot_is_only_visible_without_clipping_and_not_in_a_correlation(profiles):
    value = traps.overshoot(profiles).set_index(["score", "gain"])["value"]
    assert value["r2_mean", 1] == pytest.approx(1)
    assert value["r2_mean", 4] < 0 <= value["r2_mean_clipped", 4]
    assert value["pearson_delta_ctrl_shared", 4] == pytest.approx(1)
    assert np.isnan(value["pearson_delta_ctrl_shared", 0])
    assert value["r2_mean", 0] == pytest.approx(value["r2_mean", 2])


def test_a_constant_predictor_has_half_of_the_points_and_more_when_lines_are_pooled(profiles):
    table = traps.summary(traps.retrieval_floor(profiles), ["predictor", "competitors", "metric"], 0)
    value = table.set_index(["predictor", "competitors", "metric"])["mean"]
    assert value["no change", "drugs of the same line", "nir"] == pytest.approx(0.5)
    assert value["no change", "drugs of the same line", "rank_pred"] == 1
    assert value["no change", "drugs of all lines", "nir"] > 0.65
    assert value["same drug, lower dose", "drugs of the same line", "nir"] > 0.6


def test_the_summary_counts_undefined_values_and_says_so():
    frame = pd.DataFrame(
        {"value": [np.nan] * 3 + [0.5] * 3, "perturbation": list("abcabc"), "kind": ["x"] * 3 + ["y"] * 3}
    )
    table = traps.summary(frame.rename(columns={"kind": "predictor"}), ["predictor"], 0)
    assert list(table["label"]) == ["undefined (0 of 3)", "0.50 (3 of 3)"]
    assert np.isnan(table["mean"][0]) and table["kind"][1] == "every value shown"


def test_every_registered_metric_is_in_the_table_with_its_trap():
    from perturbook.evaluation import METRICS

    table = traps.metric_table()
    assert len(table) == len(METRICS) and all(row["Trap"] for row in table)
    assert [
        key for row, key in zip(table, METRICS, strict=True) if f"<code>{key}</code>" not in row["Score"]
    ] == []


def test_the_dose_table_counts_conditions_by_hand():
    treated = pd.DataFrame({"dose_um": [0.1, 10.0, 10.0], "n_cells": [5, 4, 8]})
    assert traps.dose_table(treated) == [
        {"Dose (µM)": "0.1", "Conditions": 1, "Cells per condition": "5"},
        {"Dose (µM)": "10", "Conditions": 2, "Cells per condition": "6"},
    ]


def test_a_small_table_says_undefined_keeps_words_and_shows_no_negative_zero():
    frame = pd.DataFrame(
        {"a": [np.nan, -1e-9], "b": ["x", "y"], "n": [1, 2]}, index=pd.Index(["p", "q"], name="who")
    )
    html = traps.shown(frame, "Made up").data
    assert "<caption>Made up</caption>" in html and "<td>undefined</td><td>x</td><td>1</td>" in html
    assert "<td>q</td><td>0.000</td>" in html
