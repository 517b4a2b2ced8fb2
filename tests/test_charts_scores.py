"""Charts of the Scores chapter carry a description and titled axes, and draw undefined values as words."""

import numpy as np
import pandas as pd
import pytest

from perturbook.pages.charts import scores

INTERVALS = pd.DataFrame(
    {
        "predictor": ["no change", "same drug, lower dose"],
        "reference": ["training centroid", "control, same cells"],
        "competitors": ["drugs of all lines"] * 2,
        "metric": ["nir"] * 2,
        "mean": [np.nan, 0.5],
        "low": [np.nan, 0.4],
        "high": [np.nan, 0.6],
        "label": ["undefined (0 of 3)", "0.50 (3 of 3)"],
        "kind": ["undefined", "95 % bootstrap over conditions"],
    }
)
CHARTS = {
    "no_change_by_dose": pd.DataFrame({"dose_um": [1.0, 10.0], "context": ["A", "A"], "r2_mean": [0.9, 0.5]}),
    "overshoot": pd.DataFrame({"gain": [0, 1], "score": ["r2_mean"] * 2, "value": [np.nan, 1.0]}),
    "shared_control": pd.DataFrame(
        {"n_control": [5], "controls": ["split"], "value": [0.1], "expected": [0.0]}
    ),
    "shared_response": INTERVALS,
    "retrieval_floor": INTERVALS,
    "spread": pd.DataFrame({"spread": [0.0, 1.0], "score": ["edist_u_genes"] * 2, "value": [2.0, 0.1]}),
    "energy_bias": pd.DataFrame({"n_cells": [5, 5], "statistic": ["V"] * 2, "value": [1.0, 2.0]}),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_describes_itself_titles_its_axes_and_fits_its_container(name):
    spec = getattr(scores, name)(CHARTS[name]).to_dict()
    assert len(spec["description"]) > 60 and spec["width"] == "container"
    layers = spec.get("layer", [spec])
    for axis in "xy":
        assert any("title" in layer["encoding"].get(axis, {}) for layer in layers), axis


def test_an_undefined_value_is_written_and_not_drawn_as_a_point():
    spec = scores.shared_response(INTERVALS).to_dict()
    rows = {
        layer["mark"]["type"]: spec["datasets"][layer.get("data", spec.get("data"))["name"]]
        for layer in spec["layer"]
    }
    assert [row["label"] for row in rows["text"]] == ["undefined (0 of 3)"]
    assert [row["label"] for row in rows["point"]] == ["0.50 (3 of 3)"]
