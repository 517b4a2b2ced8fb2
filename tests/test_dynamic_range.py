"""Dynamic range: where a score lies between the negative control and the ideal, and metrics that have no room."""

import numpy as np
import pandas as pd
import pytest
from hand_made_bundle import bundle, of_cells, truth, value

from perturbook.evaluation import CEILING, INTERPOLATED, Predicted, score
from perturbook.evaluation.dynamic_range import dynamic_range, own_range


def table(values, metric, modes=None):
    """A long table of one metric from `{method: values}`."""
    rows = [
        {"method": m, "mode": (modes or {}).get(m, ""), "condition": f"c{i}", "metric": metric, "value": v}
        for m, series in values.items()
        for i, v in enumerate(series)
    ]
    rows = pd.DataFrame(rows).assign(reason="", within_se=0.1)
    undefined = rows["value"].isna()
    return rows.assign(
        status=undefined.map({True: "undefined", False: "ok"}), reason=undefined.map({True: "why", False: ""})
    )


def of(rows, method, mode=""):
    return rows[(rows["method"] == method) & (rows["mode"] == mode)]["value"].tolist()


def test_by_hand_for_a_correlation_and_for_an_error():
    """metrics.md acceptance 11."""
    found = dynamic_range(table({"mean_train": [0.2], "m": [0.6]}, "pearson_delta_ctrl"))
    assert of(found, "m") == [pytest.approx(0.5)] and of(found, "mean_train") == [0]
    assert set(found["metric"]) == {"drf_pearson_delta_ctrl"}
    assert of(dynamic_range(table({"mean_train": [0.5], "m": [0.1]}, "rmse_mean")), "m") == [
        pytest.approx(0.8)
    ]


def test_it_is_never_clipped():
    found = dynamic_range(table({"mean_train": [0.2], "m": [-7.8]}, "r2_mean"))
    assert of(found, "m") == [pytest.approx(-10)]


def test_what_has_no_range_is_undefined_with_its_reason():
    values = {"mean_train": [0.2, np.nan, 1.0, 0.2], "m": [0.6, 0.6, 0.6, np.nan]}
    found = dynamic_range(table(values, "r2_mean"))
    found = found[found["method"] == "m"]
    assert found["value"].isna().tolist() == [False, True, True, True]
    reasons = ["", "the negative control has no value here", "the negative control is perfect", "why"]
    assert found["reason"].tolist() == reasons and found["status"].tolist() == ["ok"] + ["undefined"] * 3
    noise = dynamic_range(table({"mean_train": [0.2], "m": [0.6]}, "rel_rmse_cell"))
    assert set(noise["reason"]) == {"the metric has no ideal value"}


def test_a_page_without_the_negative_control_has_no_range():
    assert dynamic_range(table({"m": [0.6]}, "r2_mean"))["value"].isna().all()


def test_every_mode_meets_the_negative_control_of_its_own_mode():
    values = {"m": [0.6], "n": [0.6]}
    controls = table({"mean_train": [0.2]}, "r2_mean", {"mean_train": "A"})
    controls = pd.concat([controls, table({"mean_train": [0.5]}, "r2_mean", {"mean_train": "B"})])
    rows = pd.concat([controls, table(values, "r2_mean", {"m": "A", "n": "B"})])
    found = dynamic_range(rows)
    assert of(found, "m", "A") == [pytest.approx(0.5)] and of(found, "n", "B") == [pytest.approx(0.2)]
    both = pd.concat(
        [table({"mean_train": [0.2]}, "r2_mean", {"mean_train": "AB"}), table({CEILING: [0.6]}, "r2_mean")]
    )
    assert of(dynamic_range(both), CEILING) == [pytest.approx(0.5)]


def test_a_metric_whose_duplicate_scores_as_the_negative_control_is_not_resolvable():
    good = table({"mean_train": [0.2, 0.4], INTERPOLATED: [0.6, np.nan]}, "r2_mean")
    bad = table({"mean_train": [0.2, 0.4], INTERPOLATED: [0.25, 0.45]}, "nir")
    found = own_range(pd.concat([good, bad])).set_index("metric")
    assert found.loc["r2_mean", ["n_defined", "n_total"]].tolist() == [1, 2]
    assert found["label"].to_dict() == {"r2_mean": "", "nir": "not resolvable"}
    assert found.loc["nir", "mean"] == pytest.approx((0.05 / 0.8 + 0.05 / 0.6) / 2)
    assert found.loc["nir", "median"] == found.loc["nir", "mean"]


def test_it_reads_the_table_of_a_bundle_whatever_its_panel():
    negative = Predicted("mean_train", "Mean", "floor", mean=truth().mean + 2)
    rows = score(bundle(of_cells(), negative))
    found = dynamic_range(rows)
    assert len(found) == len(rows) and "drf_l2_heg3" in set(found["metric"])
    assert value(found, "drf_rmse_mean", "a|x|1") == pytest.approx(1 - np.sqrt(2 / 3) / 2)
    assert value(found, "drf_rmse_mean", "a|x|1", CEILING) == 1
