"""Charts of the part Foundations describe themselves, title their axes, and draw what their tables say."""

import numpy as np
import pandas as pd
import pytest

from perturbook.pages.charts import (
    foundations_embeddings,
    foundations_input,
    foundations_pretraining,
    foundations_randomness,
)

GROUPED = pd.DataFrame(
    {"label": ["B, control"], "count": [1], "bin": [7], "genes": [3], "names": ["A, B, C"]}
)
CHOSEN = pd.DataFrame(
    {
        "label": ["B, control", "B, IFN-beta"],
        "perturbation": ["control", "IFN-beta"],
        "gene": ["LYZ", "LYZ"],
        "count": [1, 2],
        "bin": [7, 9],
        "lowest": [1, 9],
        "highest": [30, 9],
        "lognorm": [2.0, 3.0],
    }
)
SIMILAR = pd.DataFrame({"first": ["a", "a"], "second": ["a", "b"], "cosine": [1.0, 0.5]})
RUNS = pd.DataFrame(
    {"gene": ["A", "A"], "count": [1, 1], "scheme": ["reference", "ours"], "run": ["1", "1"], "bin": [3, 40]}
)
CHANGES = pd.DataFrame(
    {
        "scheme": ["reference", "ours"],
        "changed": ["seed"] * 2,
        "cell": ["c"] * 2,
        "distance": [0.1, 0.0],
        "moved": [0.5, 0.0],
    }
)
SUMMARY = pd.DataFrame(
    {
        "embedding": ["PCA"] * 4 + ["scVI"],
        "score": ["type_knn", "condition_auroc", "depth_r2", "depth_r2_within", "type_knn"],
        "mean": [0.5, 0.6, 0.4, 0.3, np.nan],
        "low": [0.4, 0.5, 0.3, 0.2, np.nan],
        "high": [0.6, 0.7, 0.5, 0.4, np.nan],
        "cells": [9, 9, 9, 9, 0],
    }
)
BY_TYPE = pd.DataFrame({"embedding": ["PCA"], "type": ["B"], "value": [0.5], "cells": [9]})
CURVE = pd.DataFrame({"step": [0, 5], "part": ["training batches", "held-out cells"], "value": [9.0, 7.0]})
SCORES = pd.DataFrame(
    {
        "title": ["the model", "mean of the gene"] * 2,
        "dataset": ["all", "all", "pbmc3k", "pbmc3k"],
        "value": [7.0, 8.0] * 2,
    }
)
CHARTS = {
    "counts_to_bins": foundations_input.counts_to_bins(GROUPED, CHOSEN),
    "expression_to_bins": foundations_input.expression_to_bins(CHOSEN),
    "cells_side_by_side": foundations_input.cells_side_by_side(SIMILAR),
    "bins_of_one_cell": foundations_randomness.bins_of_one_cell(RUNS),
    "distances": foundations_randomness.distances(CHANGES, 0.3),
    "knowledge": foundations_embeddings.knowledge(SUMMARY),
    "depth_leakage": foundations_embeddings.depth_leakage(SUMMARY),
    "type_by_type": foundations_embeddings.type_by_type(BY_TYPE),
    "curve": foundations_pretraining.curve(CURVE, SCORES),
    "by_dataset": foundations_pretraining.by_dataset(SCORES),
}


def rows_of(spec, mark):
    """Data of the layers that are drawn with a mark."""
    found = []
    for layer in spec.get("layer", [spec]):
        if layer["mark"]["type"] == mark:
            found += spec["datasets"][layer.get("data", spec.get("data"))["name"]]
    return found


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_describes_itself_titles_its_axes_and_fits_its_container(name):
    spec = CHARTS[name].to_dict()
    assert len(spec["description"]) > 80 and spec["width"] == "container"
    layers = spec.get("layer", [spec])
    for axis in "xy":
        titles = [layer["encoding"].get(axis, {}).get("title") for layer in layers]
        assert any(titles), axis


def test_the_menus_hold_every_cell_and_gene_and_nothing_else():
    params = {one["name"]: one for one in CHARTS["counts_to_bins"].to_dict()["params"]}
    assert params["cell"]["bind"]["options"] == ["B, control"]
    assert params["gene"]["bind"]["options"] == ["LYZ"]


def test_only_marked_predictors_become_dashed_lines_and_only_over_all_data_sets():
    assert [row["title"] for row in rows_of(CHARTS["curve"].to_dict(), "rule")] == ["mean of the gene"]
    assert {row["dataset"] for row in rows_of(CHARTS["by_dataset"].to_dict(), "point")} == {"pbmc3k"}


def test_an_embedding_without_a_score_is_left_out_and_scores_keep_to_their_chart():
    rows = rows_of(CHARTS["knowledge"].to_dict(), "point")
    assert [(row["embedding"], row["what"]) for row in rows] == [
        ("PCA", "cell type"),
        ("PCA", "condition, within type"),
    ]
    assert {row["what"] for row in rows_of(CHARTS["depth_leakage"].to_dict(), "point")} == {
        "all cells",
        "within type",
    }


def test_a_distance_of_zero_has_a_place_on_the_axis():
    spec = CHARTS["distances"].to_dict()
    scale = spec["layer"][0]["encoding"]["x"]["scale"]
    assert scale["type"] == "symlog" and scale["domain"][0] == 0
