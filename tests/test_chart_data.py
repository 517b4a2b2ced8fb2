"""Charts of data cards and of splits describe themselves, title their axes with units, and treat labels as data."""

import json

import numpy as np
import pandas as pd
import pytest

from perturbook.pages.charts import data as charts
from perturbook.pages.charts.split import MARKS, pair_grid, split_grid

EVIL = "<img src=x onerror=alert(1)>"
QUANTILES = dict(zip(["p5", "q1", "median", "q3", "p95"], [100.0, 200.0, 300.0, 400.0, 900.0], strict=True))
DEPTH = pd.DataFrame([{"context": c, "state": "control", "cells": 9, **QUANTILES} for c in (EVIL, "B")])
RNG = np.random.default_rng(0)
CELLS = pd.DataFrame(
    {
        "context": RNG.choice([EVIL, "B"], 2000),
        "group": RNG.choice(["control", "Aspirin"], 2000),
        "n_counts": RNG.integers(1, 9000, 2000).astype(float),
        "x": RNG.normal(size=2000),
        "y": RNG.normal(size=2000),
    }
)
BY_DOSE = pd.DataFrame(
    [(c, d, 64, 0.2, 0.1) for c in (EVIL, "B") for d in (0.1, 10.0)],
    columns=["context", "dose_um", "perturbations", "measured", "expected"],
)
ONE_DOSE = BY_DOSE[BY_DOSE["dose_um"] == 10].assign(dose_um=np.nan)
LAYOUT = pd.DataFrame(
    [(EVIL, d, p, 20, "") for d, p in (("control", "training"), ("Aspirin", "test"))],
    columns=["context", "perturbation", "part", "cells", "fold"],
)
BOARD = pd.DataFrame(
    [
        ("seen_single", "A", "A", "training and test"),
        ("gears", "A", "A", "training"),
        ("gears", "A", EVIL, "test"),
    ],
    columns=["setting", "first", "second", "part"],
).assign(condition="A", training=1, validation=0, test=1, seen="1 of 1")
CHARTS = {
    "depth": lambda: charts.depth_chart(DEPTH),
    "map": lambda: charts.map_chart(CELLS),
    "change by dose": lambda: charts.change_chart(BY_DOSE),
    "change by context": lambda: charts.change_chart(ONE_DOSE),
    "split": lambda: split_grid(
        LAYOUT, "Which cells are used for what: one square per perturbation and context."
    ),
    "pairs": lambda: pair_grid(
        BOARD, "Which conditions are used for what: one mark per gene and per pair of genes."
    ),
}
UNITS = {
    "depth": "Counts per cell",
    "map": "no unit",
    "change by dose": "µM",
    "change by context": "log1p",
    "split": "Perturbation",
    "pairs": "gene",
}


def titles(spec):
    layers = spec.get("layer", [spec])
    return {
        axis: [e[axis]["title"] for e in (la["encoding"] for la in layers) if "title" in e.get(axis, {})]
        for axis in "xy"
    }


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_describes_itself_and_titles_both_axes_with_a_unit(name):
    spec = CHARTS[name]().to_dict()
    assert len(spec["description"]) > 60 and spec["width"] == "container"
    found = titles(spec)
    assert all(found["x"]) and all(found["y"]) and found["x"] and found["y"]
    assert UNITS[name] in found["x"][0]


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_small_enough_for_a_page(name):
    spec = CHARTS[name]().to_dict()
    assert 0 < sum(len(rows) for rows in spec["datasets"].values()) < 5000
    assert len(json.dumps(spec)) < 400_000


@pytest.mark.parametrize("name", CHARTS)
def test_markup_in_a_label_is_a_value_of_the_data_and_of_nothing_else(name):
    spec = CHARTS[name]().to_dict()
    rows = json.dumps(spec.pop("datasets"))
    assert EVIL in rows
    for kept in ("domain", "sort"):  # lists of labels, which Vega compares and never reads as markup
        drop(spec, kept)
    assert EVIL not in json.dumps(spec)


def drop(node, key):
    if isinstance(node, dict):
        node.pop(key, None)
        for child in node.values():
            drop(child, key)
    elif isinstance(node, list):
        for child in node:
            drop(child, key)


def test_the_library_sizes_stand_on_a_logarithmic_axis_deepest_context_first():
    spec = charts.depth_chart(DEPTH.assign(median=[1.0, 2.0])).to_dict()
    assert spec["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"
    assert spec["layer"][0]["encoding"]["y"]["sort"] == ["B", EVIL]


def test_the_menu_of_the_map_offers_a_condition_only_where_there_are_two():
    assert charts.map_chart(CELLS).to_dict()["params"][0]["bind"]["options"] == ["context", "group", "depth"]
    unperturbed = charts.map_chart(CELLS.assign(group="control")).to_dict()
    assert unperturbed["params"][0]["bind"]["options"] == ["context", "depth"]


def test_library_size_classes_of_the_map_hold_every_cell_and_equal_shares():
    spec = charts.map_chart(CELLS).to_dict()
    rows = pd.DataFrame(next(iter(spec["datasets"].values())))
    assert rows["depth"].value_counts().between(380, 420).all() and rows["depth"].nunique() == 5
    bounds = rows["depth"].str.extract(r"^\d: ([\d,]+) to ([\d,]+) counts$")
    low, high = (bounds[i].str.replace(",", "").astype(float) for i in (0, 1))
    assert rows["n_counts"].between(low - 1, high + 1).all()


def test_cells_of_one_library_size_are_one_class():
    spec = charts.map_chart(CELLS.assign(n_counts=500.0)).to_dict()
    assert {row["depth"] for row in next(iter(spec["datasets"].values()))} == {"1: 500 to 500 counts"}


def test_no_line_has_the_colour_of_the_change_that_noise_alone_would_give():
    scale = charts.change_chart(BY_DOSE).to_dict()["encoding"]["color"]["scale"]
    assert scale["domain"][-1] == charts.NO_EFFECT and scale["range"][-1] not in scale["range"][:-1]


def test_one_split_has_no_menu_and_control_stands_first():
    spec = split_grid(LAYOUT, "A split.").to_dict()
    assert "params" not in spec and spec["encoding"]["x"]["sort"] == ["control", "Aspirin"]
    several = pd.concat([LAYOUT.assign(fold="B"), LAYOUT.assign(fold="NK")])
    assert split_grid(several, "Two splits.").to_dict()["params"][0]["bind"]["options"] == ["B", "NK"]


def test_the_menu_of_genes_picks_the_setting_and_all_genes_stand_on_both_axes():
    spec = pair_grid(BOARD, "Pairs of genes.").to_dict()
    assert spec["params"][0]["bind"]["options"] == ["seen_single", "gears"]
    for axis in "xy":
        assert spec["encoding"][axis]["scale"]["domain"] == [EVIL, "A"]
    assert spec["height"] == 24 * 2


def test_parts_of_genes_are_told_apart_by_shape_and_by_colour_alike():
    encoding = pair_grid(BOARD, "Pairs of genes.").to_dict()["encoding"]
    for channel, at in (("shape", 0), ("color", 1)):
        scale = encoding[channel]["scale"]
        assert scale["domain"] == ["training", "training and test", "test"]
        assert scale["range"] == [MARKS[part][at] for part in scale["domain"]]
        assert len({mark[at] for mark in MARKS.values()}) == len(MARKS)
