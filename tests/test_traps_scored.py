"""The traps that need the book's machinery: real cells on both keys, and what a metric can tell apart."""

import pandas as pd
import pytest
from conftest import load_or_skip

from perturbook.errors import DataUnavailable
from perturbook.pages import traps_scored
from perturbook.pages.design import Design


@pytest.fixture
def unavailable(monkeypatch):
    def load(design):
        raise DataUnavailable("no cells here")

    monkeypatch.setattr(Design, "load", load)


@pytest.mark.parametrize(
    ("page", "model", "name", "shared", "split"),
    [
        ("kang-zero-shot", "mean_train", "kang2018-mini", 0.806, 0.780),
        ("norman-seen-2", "additive_pairs", "norman2019-mini", 0.870, 0.657),
    ],
)
def test_real_floors_fall_when_controls_are_split_and_so_do_their_ceilings(page, model, name, shared, split):
    # floors-and-peers.md section 1, and its check with split controls
    load_or_skip(name)
    table = traps_scored.both_keys(page, model).set_index("controls")
    assert table["source"].to_list() == ["live", "live"] and set(table["data"]) == {name}
    assert table.loc["shared", "score"] == pytest.approx(shared, abs=0.002)
    assert table.loc["split", "score"] == pytest.approx(split, abs=0.003)
    for ceiling in ("half_duplicate", "full_duplicate", "oracle"):
        assert table.loc["split", ceiling] < table.loc["shared", ceiling]
    assert (table["half_duplicate"] < table["full_duplicate"]).all() and (
        table["full_duplicate"] < table["oracle"]
    ).all()
    words = traps_scored.both_keys_answer({name: table.reset_index()}).data
    assert all(f"{score:.3f}" in words for score in table["score"]) and "deposited" not in words


def test_without_the_cells_the_deposit_speaks_and_says_so(unavailable):
    table = traps_scored.both_keys("kang-zero-shot", "mean_train")
    assert table["source"].to_list() == ["deposit", "deposit"]
    assert table.set_index("controls").loc["shared", "score"] == pytest.approx(0.806, abs=0.002)
    assert "deposited with the project" in traps_scored.both_keys_answer({"kang2018-mini": table}).data


def test_without_cells_and_deposit_the_row_is_left_out_and_the_page_says_so(
    unavailable, monkeypatch, tmp_path
):
    monkeypatch.setattr(traps_scored, "ROOT", tmp_path)
    table = traps_scored.both_keys("kang-zero-shot", "mean_train")
    assert table.empty
    tables = {"kang2018-mini": table}
    assert "kang2018-mini cannot be had here" in traps_scored.both_keys_answer(tables).data
    assert "<td>" not in traps_scored.both_keys_table(tables).data


def test_few_cells_leave_a_metric_without_resolution_and_more_cells_give_it():
    found = traps_scored.resolution(0, ["r2_mean", "pearson_delta_ctrl", "pearson_delta_centroid", "nir"])
    mean = found.set_index(["screen", "duplicate", "metric"])["mean"]
    label = found.set_index(["screen", "duplicate", "metric"])["label"]
    half = ("half duplicate", "r2_mean")
    assert mean[("simulated-drugs", *half)] < 0.1 < mean[("simulated-pairs", *half)]
    assert label[("simulated-drugs", *half)] == "not resolvable" and label[("simulated-pairs", *half)] == ""
    assert pd.isna(mean["simulated-pairs", "half duplicate", "pearson_delta_centroid"])
    assert (mean.dropna() <= 1).all()
    html = traps_scored.resolution_table(found).data
    assert "not resolvable" in html and "undefined" in html


def test_a_small_study_is_scored_as_a_setting_page_scores_it():
    design = Design(
        page="", data="simulated-pairs", setting="additive_split", size="small", models=["mean_train"]
    )
    scores = traps_scored.scored(design, ["r2_mean"])
    assert set(scores["metric"]) == {"r2_mean"} and "mean_train" in set(scores["method"])
    assert scores.loc[scores["method"] == "mean_train", "value"].notna().all()
