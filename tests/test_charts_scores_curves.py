"""Curves of the Scores chapter carry a description and titled axes, and no group is told by colour alone."""

import pandas as pd
import pytest

from perturbook.pages.charts import scores_curves

CHARTS = {
    "chosen": pd.DataFrame({"de_source": ["test_truth", "split_half"], "k": [10, 10], "change": [0.3, 0.0]}),
    "weight_shares": pd.DataFrame({"against": ["the rest"] * 2, "genes": [1, 10], "share": [0.1, 1.0]}),
    "l2_by_length": pd.DataFrame({"predictor": ["no change"] * 2, "genes": [25, 100], "l2": [1.0, 1.5]}),
    "found_without_effect": pd.DataFrame({"spread": [0.5, 1.0], "n_cells": [25, 25], "share": [0.3, 0.0]}),
    "ceilings": pd.DataFrame(
        {
            "n_cells": [10, 10],
            "ceiling": ["oracle"] * 2,
            "kind": ["measured", "projected"],
            "value": [0.6, 0.5],
        }
    ),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_curve_describes_itself_titles_its_axes_and_fits_its_container(name):
    spec = getattr(scores_curves, name)(CHARTS[name]).to_dict()
    assert len(spec["description"]) > 60 and spec["width"] == "container" and isinstance(spec["height"], int)
    layers = spec.get("layer", [spec])
    for axis in "xy":
        assert any("title" in layer["encoding"].get(axis, {}) for layer in layers), axis


@pytest.mark.parametrize("name", CHARTS)
def test_groups_differ_in_shape_as_well_as_in_colour(name):
    spec = getattr(scores_curves, name)(CHARTS[name]).to_dict()
    layers = [layer["encoding"] for layer in spec.get("layer", [spec])]
    (shape,) = [e["shape"] for e in layers if "shape" in e]
    assert all(e["color"]["scale"]["domain"] == shape["scale"]["domain"] for e in layers if "color" in e)


def test_the_dashed_line_of_the_distance_is_the_square_root_from_its_first_point():
    spec = scores_curves.l2_by_length(CHARTS["l2_by_length"]).to_dict()
    (rows,) = spec["datasets"].values()
    assert [row["root"] for row in rows] == [1.0, 2.0]
