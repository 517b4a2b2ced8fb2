"""A sweep compares supports on the same conditions, and says so when a predictor does not use them."""

from dataclasses import replace

import numpy as np
import pytest

from perturbook import data
from perturbook.pages import present_sweep as present
from perturbook.pages.charts.sweep import sweep_chart
from perturbook.pages.design import Design
from perturbook.pages.study import run

SWEEP = dict(
    page="p",
    data="simulated-drugs",
    setting="few_shot_context",
    models=["no_change", "mean_train", "mean_per_context"],
    k_sweep=[0, 1, 4],
    scored_pairs=4,
    size="small",
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return run(Design(**SWEEP), tmp_path_factory.mktemp("sweep") / "bundle")


def test_every_k_is_asked_about_the_same_conditions_and_supports_are_nested():
    design = Design(**SWEEP)
    made = design.splits(design.load())
    assert list(made) == ["k=0", "k=1", "k=4"]
    for none, one, four in zip(*made.values(), strict=True):
        assert list(none.conditions.index) == list(one.conditions.index) == list(four.conditions.index)
        assert set(none.train) < set(one.train) < set(four.train)
        assert set(none.test) == set(one.test) == set(four.test)


def test_the_audit_passes_for_every_k_and_every_line(study):
    assert len(study.audits) == 3 * 3 and {entry["mode"] for entry in study.audits} == {"k=0", "k=1", "k=4"}


def test_a_predictor_that_looks_elsewhere_has_a_flat_line_and_one_that_looks_here_has_none_at_zero(study):
    curves = present.curves(study, 100).set_index(["method", "metric", "k"])["mean"]
    flat = curves["mean_train"]["pearson_delta_ctrl"]
    assert np.ptp(curves["no_change"]["rmse_mean"]) < 1e-9
    assert set(flat.index) == {0, 1, 4}
    assert set(curves["mean_per_context"]["rmse_mean"].index) == {1, 4}


def test_the_gain_of_support_is_zero_where_support_is_not_used(study):
    shown = present.gain_table(study, 100).data
    rows = {
        name: next(part for part in shown.split("<tr>") if name in part)
        for name in ("No change", "Mean of the same context")
    }
    assert (
        "undefined" in rows["No change"]
        and "0.000" in rows["No change"]
        and "<td>0</td>" in rows["No change"]
    )
    assert "<td>1</td>" in rows["Mean of the same context"]  # without any support it is not defined
    assert "duplicate" not in shown


def test_the_sentence_names_both_ends_and_the_chart_describes_itself(study):
    said = present.answer(study, 100).data
    assert said.startswith("**With 0 supporting measurements") and "with 4 it is" in said
    spec = sweep_chart(study, 100).to_dict()
    assert spec["width"] == "container" and "support" in spec["description"]
    assert "k = 4" in present.curve_table(study, 100).data


def as_model(study, name, **changes):
    """The study with one predictor called a model."""
    made = [replace(p, role="model", **changes) if p.name == name else p for p in study.bundle.predictions]
    return replace(study, bundle=replace(study.bundle, predictions=made))


def test_a_model_is_never_the_best_simple_predictor_and_is_paired_with_it_at_every_k(study):
    usual = present.curves(study, 100)
    best = usual[(usual["metric"] == present.MAIN) & (usual["k"] == 4)].nlargest(1, "mean").iloc[0]
    said = present.answer(as_model(study, best["method"]), 100).data
    simple, model = said.split("**")[1:]
    assert best["predictor"] not in simple and f"“{best['predictor']}”" in model
    assert model.count("the best simple predictor with") == 2  # nothing else is defined without a support


def test_a_model_without_a_prediction_is_named_with_the_reason(study):
    gone = as_model(study, "mean_per_context", mean=None, mean_split=None, reason="none is stored")
    scores = study.scores[study.scores["method"] != "mean_per_context"]
    said = present.answer(replace(gone, scores=scores), 100).data
    assert said.endswith("“Mean of the same context” is not shown: none is stored.")


def test_the_sweep_is_read_from_what_is_stored(study):
    names = {path.name for path in study.folder.glob("*.h5ad")}
    assert {"mean_per_context-k=1.h5ad", "mean_train-k=4.h5ad", "truth.h5ad"} <= names
    assert data.DATASETS["simulated-drugs"].synthetic and study.bundle.truth.facts["synthetic"]
