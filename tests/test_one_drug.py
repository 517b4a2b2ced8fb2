"""The worked example: the pair with the largest effect, its genes and errors as the bundle holds them, labels as data."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import vl_convert
from hand_made_bundle import CONTROL, MEAN, PREDICTED, of_cells, truth

from perturbook.errors import ConfigError, InputError
from perturbook.evaluation import Bundle, Predicted, write_bundle
from perturbook.pages import kept, one_drug, vega
from perturbook.pages import one_drug_tables as shown
from perturbook.pages.charts.one_drug import dose_chart
from perturbook.pages.standings import read_scores
from perturbook.pages.vega_plugin import chart_html

# a|x at 10 changes by [1, 0, 2], at 1 by [-1, -1, -3]; b|x at 10 by [1, 0, 1]
OBS = pd.DataFrame(
    {
        "context": ["a", "a", "b"],
        "perturbation": ["x", "x", "x"],
        "dose_um": [10.0, 1.0, 10.0],
        "fold": 0,
        "n_cells": [5, 6, 7],
        "kind": "drug",
    },
    index=pd.Index(["a|x|10", "a|x|1", "b|x|10"], name="condition"),
)
MODEL = Predicted("scdca", "scDCA adapter", "model", mean=PREDICTED)


def dosed(obs=OBS, genes=None, **facts):
    made = truth()
    names = made.genes if genes is None else np.array(genes)
    return replace(made, obs=obs, genes=names, facts={**made.facts, "synthetic": True, **facts})


def bundle(*models, **given):
    return Bundle(dosed(**given), list(models) or [MODEL])


def rows(html):
    """Body of a table as one dictionary per row, markup inside cells taken out."""
    names = re.findall(r"<th>(.*?)</th>", html.data)
    body = [re.findall(r"<td>(.*?)</td>", row) for row in html.data.split("<tbody>")[1].split("<tr>")[1:]]
    return [dict(zip(names, (re.sub("<.*?>", "", one) for one in row), strict=True)) for row in body]


def take(pair="", models=("scdca",), **given):
    return one_drug.take(bundle(**given), pair, list(models))


def test_the_pair_is_the_one_that_changes_most_at_the_highest_dose_whatever_lower_doses_say():
    one = take()
    assert one.name == ("a", "x") and list(one.rows) == [1, 0] and list(one.doses) == [1.0, 10.0]
    weak = OBS.assign(
        context=["a", "b", "b"], dose_um=[10.0, 1.0, 10.0]
    )  # -3 now stands at a lower dose of b
    assert take(obs=weak).name == ("a", "x")
    few = OBS.assign(n_cells=[4, 6, 7])  # below five cells a profile is noise
    assert take(obs=few).name == ("b", "x")


def test_of_the_deposited_screen_the_pair_has_the_largest_stored_error_of_no_change():
    one = one_drug.read("", "", ["no_change", "context_ridge"])
    scores, _ = read_scores(kept.folder_of(one_drug.PAGE, "", "scores.csv.gz"))
    mine = scores[(scores["method"] == "no_change") & (scores["metric"] == "rmse_mean")]
    top = mine[mine["dose_um"] == mine["dose_um"].max()].set_index("condition")["value"]
    assert one.rmse.index[-1] == top.idxmax()
    assert one.rmse["No change"].iloc[-1] == pytest.approx(top.max(), abs=1e-7)


def test_a_reader_names_a_pair_and_a_wrong_one_is_answered_with_those_there_are():
    assert take("b | x").name == ("b", "x") and not take("b | x").drawn
    with pytest.raises(InputError, match=r"No pair 'b \| y' is scored .*Scored: 'a \| x', 'b \| x'"):
        take("b | y")
    with pytest.raises(ConfigError, match=r"pair='b' is no pair; write it as .context \| drug"):
        take("b")


def test_change_and_interval_of_a_gene_by_hand():
    rows = one_drug.curves(take(), 3)
    assert list(dict.fromkeys(rows["gene"])) == ["G2", "G0", "G1"]  # strongest first
    by = rows.set_index(["gene", "dose_um", "predictor"])
    measured = by.loc[("G0", 10.0, "Measured")]
    half = 1.96 * np.sqrt(1 / 5 + 1 / 4)  # variance 1 of 5 treated and 4 control cells
    assert measured["change"] == 1.0 and measured["high"] - measured["change"] == pytest.approx(half)
    assert measured["change"] - measured["low"] == pytest.approx(half)
    predicted = by.loc[("G0", 10.0, "scDCA adapter")]
    assert predicted["change"] == PREDICTED[0, 0] - CONTROL[0, 0] and np.isnan(predicted["low"])


def test_tables_hold_what_the_bundle_on_disk_holds(tmp_path):
    write_bundle(bundle(), tmp_path / one_drug.PAGE)
    one = one_drug.read(str(tmp_path), "", ["scdca"])
    genes = rows(shown.gene_table(one, 2))
    assert [(row["Gene"], row["Measured"].split(" ")[0]) for row in genes] == [("G2", "2.00"), ("G0", "1.00")]
    predicted = [PREDICTED[0, gene] - CONTROL[0, gene] for gene in (2, 0)]
    assert [float(row["scDCA adapter"]) for row in genes] == predicted
    errors = rows(shown.rmse_table(one))
    assert [row["Dose (µM)"] for row in errors] == ["1", "10"]
    for name, profile in (("scDCA adapter", PREDICTED[:2]), ("No change", CONTROL[0])):
        expected = np.sqrt(((MEAN[:2] - profile) ** 2).mean(axis=1))[[1, 0]]
        np.testing.assert_allclose([float(row[name]) for row in errors], expected, atol=5e-4)


def test_a_predictor_that_the_bundle_lacks_is_left_out_with_a_sentence_and_an_unknown_one_is_refused():
    one = take(models=["scdca", "context_ridge", "knn"])
    assert [p.name for p in one.shown] == ["scdca"] and len(one.absent) == 2
    said = shown.left_out(one).data
    assert (
        said.count("<li>") == 2
        and "“Context-aware ridge” is not shown: the bundle holds no prediction" in said
    )
    refused = Predicted("knn", "Nearest", "floor", reason="the drug itself is in training")
    assert (
        "the drug itself is in training."
        in shown.left_out(one_drug.take(bundle(MODEL, refused), "", ["knn"])).data
    )
    assert shown.left_out(take()).data == ""
    with pytest.raises(ConfigError, match="Unknown model 'gears'"):
        take(models=["gears"])


def test_both_modes_of_a_predictor_and_one_from_elsewhere_are_shown():
    modes = [replace(MODEL, mode=mode) for mode in "AB"]
    one = one_drug.take(bundle(*modes, of_cells()), "", ["scdca", "cells"])
    assert list(one.rmse) == [
        "No change",
        "scDCA adapter (mode A)",
        "scDCA adapter (mode B)",
        "By hand",
        "Split-half duplicate",
    ]


def test_the_first_sentence_and_every_caption_say_that_cells_are_simulated():
    one = take()
    assert "Simulated cells" in shown.banner(one).data and shown.answer(one).data.startswith(
        "<p><strong>On simulated cells:"
    )
    for said in (shown.gene_table(one, 2).data, shown.rmse_table(one).data):
        assert "simulated cells" in said.split("</caption>")[0]
    assert "simulated cells" in dose_chart(one, 2).to_dict()["description"]
    real = take(synthetic=False)
    assert shown.banner(real).data == "" and "On real cells" in shown.answer(real).data
    vega._said_first.clear()


def test_the_chart_has_a_menu_per_panel_and_a_row_per_gene_dose_and_source():
    spec = dose_chart(take(), 3).to_dict()
    menus = {one["name"]: one for one in spec["params"] if one.get("bind", {}) != "legend" and "bind" in one}
    assert [menus[f"gene_{i}"]["value"] for i in (1, 2, 3)] == ["G2", "G0", "G1"]
    assert menus["gene_1"]["bind"]["options"] == ["G2", "G0", "G1"]
    (rows,) = [rows for rows in spec["datasets"].values() if len(rows) > 1]
    assert len(rows) == 3 * 2 * 2
    assert "Dose (µM" in str(spec) and "Change against control (log1p)" in str(spec)
    assert "G2: Measured 2.00, scDCA adapter 1.00" in spec["description"]
    assert vl_convert.vegalite_to_vega(spec)["signals"]
    assert "gene_2" not in {one["name"] for one in dose_chart(take(), 1).to_dict()["params"]}
    with pytest.raises(ConfigError, match="n_genes=0 must be at least 1"):
        dose_chart(take(), 0)


def test_labels_are_data_and_never_markup():
    evil = "<img src=x onerror=alert(1)>"
    obs = OBS.assign(context=[evil, evil, "b"], perturbation=["(+)-JQ1 [x] *y*"] * 3)
    one = take(obs=obs, genes=[f"{evil}0", f"{evil}1", f"{evil}2"])
    for said in (shown.answer(one), shown.gene_table(one, 3), shown.rmse_table(one)):
        assert "<img" not in said.data and "&lt;img" in said.data and "(+)-JQ1 [x] *y*" in said.data
    assert "<img" not in chart_html(dose_chart(one, 3).to_dict())
    named = one_drug.take(bundle(obs=obs), f"{evil} | (+)-JQ1 [x] *y*", ["scdca"])
    assert named.name[0] == evil


def test_a_missing_bundle_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    with pytest.raises(InputError, match="lacks simulated-unseen-combination"):
        one_drug.read(str(tmp_path), "", ["scdca"])
