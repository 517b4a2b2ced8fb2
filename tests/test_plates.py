"""The L1000 chapter reads stored scores of two pages and tells an advantage from noise."""

import numpy as np
import pytest
from hand_made_scores import write_bundle

from perturbook.errors import InputError
from perturbook.pages import kept, plates
from perturbook.pages.charts import plates as charts

SHARED, SPLIT = "pearson_delta_ctrl_shared", "pearson_delta_ctrl"
N = 12
DRUGS = [f"drug-{i:02d}" for i in range(N)]


def scores_of(floor, plate, plate_name):
    """A floor, and the plate mean that is `plate` above it with shared and with split controls."""
    base = np.linspace(0.1, 0.3, N)
    return {
        ("mean_train", ""): {SHARED: base + floor, SPLIT: base},
        (plate_name, ""): {SHARED: base + floor + plate[0], SPLIT: base + plate[1]},
        ("knn", ""): {SHARED: base, SPLIT: base},
        ("morgan_ridge", ""): {SHARED: base, SPLIT: base},
        ("half_duplicate", ""): {SHARED: base * np.nan, SPLIT: base + 0.4},
    }


@pytest.fixture
def bundles(tmp_path):
    write_bundle(tmp_path / "l1000-per-profile", scores_of(0.2, (0.05, 0.0), "mean_per_context"), drugs=DRUGS)
    write_bundle(tmp_path / "l1000-unseen-drug", scores_of(0.1, (0.01, -0.02), "mean_per_batch"), drugs=DRUGS)
    return str(tmp_path)


def test_the_plate_mean_has_one_name_although_each_page_computes_it_in_its_own_way(bundles):
    scores = plates.read(bundles)
    assert set(scores["view"]) == {"per profile", "per condition"}
    for _, mine in scores.groupby("view"):
        assert "plate" in set(mine["method"]) and not {"mean_per_batch", "mean_per_context"} & set(
            mine["method"]
        )


def test_the_advantage_is_paired_and_kept_apart_by_view_and_key(bundles):
    gap = plates.gap(plates.read(bundles), 100).set_index(["view", "key"])
    expected = {
        ("per profile", SHARED): 0.05,
        ("per profile", SPLIT): 0.0,
        ("per condition", SHARED): 0.01,
        ("per condition", SPLIT): -0.02,
    }
    for key, value in expected.items():
        assert gap.loc[key, "mean"] == pytest.approx(value)
        assert gap.loc[key, "low"] == pytest.approx(value) == gap.loc[key, "high"]


def test_the_sentence_and_the_tables_say_the_two_ends(bundles):
    scores = plates.read(bundles)
    said = plates.answer(scores, 100).data
    assert "0.050 [0.050, 0.050]" in said and "-0.020 [-0.020, -0.020]" in said
    shown = plates.mean_table(scores, 100).data
    assert (
        "per profile, shared controls" in shown and "undefined" in shown and "Mean of the same plate" in shown
    )
    assert plates.gap_table(scores, 100).data.count("<tr>") == 5


def test_the_chart_has_one_point_per_predictor_and_way_that_is_defined(bundles):
    spec = charts.views_chart(plates.read(bundles), 100).to_dict()
    rows = next(iter(spec["datasets"].values()))
    assert len(rows) == 4 * 4 + 2  # the duplicate is undefined with shared controls here
    assert spec["width"] == "container" and len(spec["description"]) > 60


def test_a_missing_page_is_named(bundles, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    alone = tmp_path / "alone"
    write_bundle(alone / "l1000-per-profile", scores_of(0.2, (0.05, 0.0), "mean_per_context"), drugs=DRUGS)
    with pytest.raises(InputError, match="lacks l1000-unseen-drug"):
        plates.read(str(alone))
