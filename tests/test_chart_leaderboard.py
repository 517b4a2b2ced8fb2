"""Charts of the leaderboard: described, titled, simulated pages named so, undefined not drawn, labels inert."""

import numpy as np
import pandas as pd
import pytest

from perturbook.evaluation import METRICS
from perturbook.pages.charts import leaderboard as charts
from perturbook.pages.vega_plugin import chart_html
from perturbook.palette import ROLE

UP, DOWN = "pearson_delta_ctrl", "rel_rmse_cell"


def line(title, cells, predictor, role, metric, mean, low=np.nan, high=np.nan, gain=0.1):
    values = {
        "mean": mean,
        "low": low,
        "high": high,
        "gain": gain,
        "gain_low": gain - 0.01,
        "gain_high": gain + 0.01,
    }
    labels = {"title": title, "cells": cells, "predictor": predictor, "role": role, "metric": metric}
    return {**labels, **values, "n_defined": 3, "n_total": 4, "floor": "Mean of training"}


BOARD = pd.DataFrame(
    [
        line("Drugs", "simulated", "Mean of training", "floor", DOWN, 1.0, gain=0.0),
        line("Drugs", "simulated", "Mean of training", "floor", UP, 0.3, 0.2, 0.4, gain=0.0),
        line("Drugs", "simulated", "No change", "floor", UP, np.nan, gain=np.nan),
        line("Drugs", "simulated", "Ridge", "opponent", UP, 0.5, 0.4, 0.6),
        line("Drugs", "simulated", "Split-half duplicate", "ceiling", UP, 0.9),
        line("Blood", "real", "Mean of training", "floor", UP, 0.3, gain=0.0),
        line("Blood", "real", "Split-half duplicate", "ceiling", UP, 0.2, gain=-0.1),
    ]
)


def drawn(chart):
    """Specification and the rows behind its points."""
    spec = chart.to_dict()
    (rows,) = spec["datasets"].values()
    rows = pd.DataFrame(rows)
    for lookup in spec["transform"]:
        (column,) = lookup["from"]["fields"]
        words = {one["i"]: one[column] for one in lookup["from"]["data"]["values"]}
        rows[column] = rows[lookup["lookup"]].map(words)
    return spec, rows


@pytest.mark.parametrize("make", [charts.score_chart, charts.gain_chart])
def test_a_chart_describes_itself_titles_its_axes_and_fits_its_container(make):
    spec, _ = drawn(make(BOARD, UP))
    assert len(spec["description"]) > 60 and spec["width"] == "container"
    assert isinstance(spec["height"], int)
    titles = {axis: [e["encoding"].get(axis, {}).get("title") for e in spec["layer"]] for axis in "xy"}
    assert any(titles["x"]) and any(titles["y"])


def test_every_page_is_a_block_in_reading_order_and_says_whether_it_is_simulated():
    spec, rows = drawn(charts.score_chart(BOARD, UP))
    assert spec["layer"][1]["encoding"]["y"]["sort"] == ["Drugs (simulated)", "Blood (real)"]
    assert set(rows["block"]) == {"Drugs (simulated)", "Blood (real)"}


def test_an_undefined_score_is_not_a_point_and_no_row_is_drawn_at_0():
    _, rows = drawn(charts.score_chart(BOARD, UP))
    assert "No change" not in set(rows["predictor"])
    assert len(rows) == 6 and (rows["value"] != 0).all()


def test_an_interval_is_drawn_only_where_there_is_one():
    spec, rows = drawn(charts.score_chart(BOARD, UP))
    assert {"filter": "isValid(datum.from)"} in spec["layer"][0]["transform"]
    assert rows["from"].notna().sum() == 2


def test_the_menu_offers_each_scored_metric_once_and_starts_with_the_one_asked_for():
    spec, _ = drawn(charts.score_chart(BOARD, UP))
    (menu,) = spec["params"]
    assert menu["value"] == METRICS[UP].title
    assert menu["bind"]["options"] == [METRICS[DOWN].title, METRICS[UP].title]
    assert drawn(charts.score_chart(BOARD, "nir"))[0]["params"][0]["value"] == METRICS[DOWN].title


def test_roles_differ_by_colour_and_by_shape_and_have_the_colour_of_every_page():
    spec, _ = drawn(charts.score_chart(BOARD, UP))
    scales = {name: spec["layer"][1]["encoding"][name]["scale"] for name in ("color", "shape")}
    assert scales["color"]["domain"] == scales["shape"]["domain"] == ["floor", "opponent", "ceiling"]
    assert scales["color"]["range"] == [ROLE["floor"], ROLE["opponent"], ROLE["ceiling"]]
    assert len(set(scales["shape"]["range"])) == 3


def test_gains_leave_the_floors_out_and_mark_zero():
    spec, rows = drawn(charts.gain_chart(BOARD, UP))
    assert "floor" not in set(rows["role"])
    assert spec["layer"][0]["encoding"]["x"] == {"datum": 0}
    assert sorted(rows["value"]) == [-0.1, 0.1, 0.1]


def test_markup_in_a_label_is_inert_in_the_page():
    evil = "</script><script>alert(1)</script>"
    spec, _ = drawn(charts.score_chart(BOARD.assign(title=evil, predictor=evil), UP))
    page = chart_html(spec)
    assert page.count("<script") == 1 and page.count("</script>") == 1 and "alert(1)" in page


def test_every_chart_is_drawn_without_a_warning():
    import vl_convert

    for make in (charts.score_chart, charts.gain_chart):
        picture = vl_convert.vegalite_to_svg({**make(BOARD, UP).to_dict(), "width": 500})
        assert "Drugs (simulated)" in picture and "NaN" not in picture
