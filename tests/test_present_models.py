"""What a setting page says of a trained model: on which side of the best simple predictor, and where it comes from."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from perturbook.evaluation import Predicted
from perturbook.evaluation.bundle import Bundle
from perturbook.pages import present_models
from perturbook.pages.study import Study

N = 30


@pytest.fixture
def study(tmp_path):
    """A page of 30 conditions of 30 drugs: a floor at .5 and a model at .5 plus `gain`, on both measures."""

    def make(gain, arm=0.0, absent="", n=N):
        rng = np.random.default_rng(0)
        rows = []
        for metric, sign in (("pearson_delta_ctrl", 1), ("rmse_mean", -1)):
            noise = rng.normal(0, 0.05, n)
            shift = {"mean_train": 0.0, "scdca": sign * gain, "scdca_shuffled": sign * (gain + arm)}
            for method, by in shift.items():
                own = rng.normal(0, 0.01, n) if by else np.zeros(n)
                own -= own.mean()
                for i, value in enumerate(0.5 + noise + by + own):
                    rows.append((f"a|d{i}|1", method, "", metric, value, "a", f"d{i}", np.nan))
        names = ["condition", "method", "mode", "metric", "value", "context", "perturbation", "dose_um"]
        scores = pd.DataFrame(rows, columns=names).assign(
            status="ok", reason="", within_se=0.01, clipped=False
        )
        mean = np.zeros((n, 2))
        made = [
            Predicted("mean_train", "Mean", "floor", mean=mean),
            Predicted("scdca", "Adapter", "model", mean=None if absent else mean, reason=absent),
            Predicted("scdca_shuffled", "Shuffled <b>", "model", mean=mean),
        ]
        truth = type("T", (), {"facts": {"page": "by-hand"}, "obs": scores.drop_duplicates("condition")})()
        bundle = Bundle(truth, made, {"parameters": {"models": ["mean_train", "scdca", "scdca_shuffled"]}})
        audits = [{"held_out": ["x"]}, {"held_out": ["y"]}]
        return Study(bundle, scores, tmp_path, audits, None, pd.DataFrame())

    return make


@pytest.mark.parametrize("gain, words", [(0.1, "beats"), (-0.1, "loses to"), (0.0005, "cannot be told from")])
def test_the_model_beats_loses_or_cannot_be_told_by_the_interval_of_the_paired_difference(study, gain, words):
    said = present_models.answer(study(gain), 500).data
    assert (
        said.count(f"**Adapter** {words} the best simple predictor, “Mean”") == 2
    )  # RMSE is better where lower
    first = float(re.search(r"difference is (-?[\d.]+) \[", said)[1])
    assert first == pytest.approx(gain, abs=0.001) and "paired over 30 conditions" in said


def test_below_ten_conditions_only_the_side_is_told(study):
    for gain, side in ((0.1, "better"), (-0.1, "worse")):
        said = present_models.answer(study(gain, n=7), 500).data
        assert (
            said.count(f"is on average {side} than the best simple predictor") == 2
        )  # also where lower is better
        assert "beats" not in said and "loses" not in said and "[" not in said


def test_a_model_without_predictions_is_named_with_the_reason_and_no_model_with_nothing(study):
    said = present_models.answer(study(0.1, absent="no predictions are stored for seed 3"), 500).data
    assert said == "**“Adapter” is not shown here: no predictions are stored for seed 3.**"
    floors = study(0.1)
    floors.bundle.predictions[1:] = []
    assert present_models.answer(floors, 500).data == ""


def test_arms_are_compared_with_the_adapter_and_their_labels_stay_text(study):
    made = present_models.arms(study(0.1, arm=-0.05), 500).data
    assert "Shuffled &lt;b&gt;" in made and "<b>" not in made
    values = [float(v) for v in re.findall(r"(-?0\.\d+) \[", made)]
    assert values == pytest.approx([-0.05, 0.05], abs=0.001)  # a loss of correlation, a gain of error


def test_stored_predictions_say_their_budget_their_cost_and_their_folds(study, tmp_path):
    assert present_models.origin(study(0.1)).data == ""
    made = {"encoder": {"name": "morgan"}, "trainable_share": 0.00967}
    (tmp_path / "scdca.json").write_text(json.dumps({"made_of": made, "seconds": 600}))
    said = present_models.origin(study(0.1)).data
    assert (
        "0.97%" in said and "<td>10</td>" in said and "2 folds" in said and "perturbook train by-hand" in said
    )
