"""The gate between deposit and book: whatever differs stops the check, and the message names the place."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from anndata import read_h5ad
from hand_made_bundle import PREDICTED, bundle, of_cells
from hand_made_scores import put_text, text_of

from perturbook.errors import PerturbookError
from perturbook.evaluation import Predicted, score, write_bundle
from perturbook.evaluation.manifest import digest
from perturbook.evaluation.score import to_csv
from perturbook.models import MODELS
from perturbook.pages import deposit
from perturbook.pages.table import Page
from perturbook.source import source_hash

PAGE = Page("by-hand", "By hand", "Tests", "setting", headline=("cells", "absent"))


class Model:
    """Stands for the registered model of the deposited predictions; its source is this file."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A deposit of one page in tmp_path/results, as a build would have left it."""
    monkeypatch.setitem(MODELS, "cells", Model)
    monkeypatch.setattr(deposit, "RESULTS", tmp_path / "results")
    real = deposit.page_of
    monkeypatch.setattr(deposit, "page_of", lambda name: PAGE if name == PAGE.id else real(name))
    folder = tmp_path / "results" / PAGE.id / "0"
    folder.parent.mkdir(parents=True)
    sources = {"cells": source_hash(Path(__file__)), "absent": "not deposited"}
    made = bundle(
        of_cells(),
        Predicted("absent", "Absent", "floor", reason="no molecule"),
        manifest={"page": PAGE.id, "model_sources": sources},
    )
    write_bundle(made, folder)
    more = bundle(of_cells(), of_cells(name="other"), *made.predictions[1:])  # scored, but no headline model
    to_csv(score(more), folder / "scores.csv.gz")
    return folder


def refused(match):
    with pytest.raises(PerturbookError, match=match) as caught:
        list(deposit.check())
    return str(caught.value)


def deposit_again(place):
    """Let the manifest name the files as they now are, as somebody would who wants to pass."""
    about = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps({**about, "files": digest(place)}))


def rewrite(path, change):
    adata = read_h5ad(path)
    change(adata)
    adata.write_h5ad(path)


def test_an_untouched_deposit_agrees_and_says_on_how_many_rows(place):
    assert list(deposit.check()) == ["by-hand: 12 rows of 1 models and the duplicate agree"]


def test_one_changed_score_is_named_with_both_values(place):
    path = place / "scores.csv.gz"
    put_text(path, text_of(path).replace("0.66666667", "0.66666767"))
    message = refused(r"2 scores differ, first r2_mean of \('cells', '', 'a\|x\|1'\)")
    assert "stored 0.66666767, now 0.6666666667" in message and str(path) in message


def test_a_score_of_the_duplicate_and_an_undefined_one_are_checked_too(place):
    path, kept = place / "scores.csv.gz", text_of(place / "scores.csv.gz")
    for row in [
        line for line in kept.splitlines() if line.startswith(("half_duplicate,,a|x|1", "absent,,a|x|1"))
    ]:
        put_text(path, kept.replace(row, row.replace("undefined", "0")))
        refused("scores differ, first .* stored 0, now nan")


def test_a_missing_row_is_named(place):
    path = place / "scores.csv.gz"
    lines = text_of(path).splitlines()
    put_text(path, "\n".join(line for line in lines if not line.startswith("cells,,a|y|1")) + "\n")
    refused(r"scores.csv.gz lacks 1 rows or metrics, such as \('cells', '', 'a\|y\|1'\)")


def test_a_missing_metric_is_named(place):
    path = place / "scores.csv.gz"
    header, *rows = text_of(path).splitlines()
    put_text(path, "\n".join([header.replace("edist_u", "edist_v"), *rows]) + "\n")
    refused("scores.csv.gz lacks 1 rows or metrics, such as edist_u")


@pytest.mark.parametrize("row", ["cells,,a|z|1", "cells,,a|x|1"], ids=["unknown", "repeated"])
def test_a_row_that_no_scoring_gives_is_named(place, row):
    path = place / "scores.csv.gz"
    lines = text_of(path).splitlines()
    more = next(line for line in lines if line.startswith("cells,,a|x|1")).replace("cells,,a|x|1", row)
    put_text(path, "\n".join([*lines, more]) + "\n")
    refused(r"scores.csv.gz has 1 rows that no scoring gives, such as \('cells', ''")


def test_rows_of_models_whose_predictions_are_not_deposited_are_left_alone(place):
    path = place / "scores.csv.gz"
    assert "other,,a|x|1" in text_of(path)
    lines = text_of(path).splitlines()
    put_text(path, "\n".join(line for line in lines if not line.startswith("other")) + "\n")
    assert len(list(deposit.check())) == 1


def swap(adata):
    adata.layers["mean"] = np.asarray(PREDICTED)[:, [0, 2, 1]]


def test_a_swapped_gene_is_noticed_by_the_checksum_and_by_the_scores(place):
    rewrite(place / "cells.h5ad", swap)
    assert str(place / "cells.h5ad") in refused("is not the file that manifest.json names")
    deposit_again(place)
    assert "scores differ, first" in refused(str(place / "scores.csv.gz"))


def test_a_truth_that_was_changed_is_noticed_by_the_checksum_and_by_the_scores(place):
    rewrite(place / "truth.h5ad", lambda adata: adata.layers.update(mean=adata.layers["mean"] + 1))
    refused("truth.h5ad is not the file that manifest.json names")
    deposit_again(place)
    refused("scores differ")


def test_a_changed_model_source_is_named(place, monkeypatch):
    monkeypatch.setattr(deposit, "source_hash", lambda path: "other")
    message = refused("the source of cells has changed since its deposit. Run `make book`")
    assert str(place) in message


def test_a_model_that_is_no_longer_registered_is_named(place):
    MODELS.pop("cells")
    assert str(place) in refused("the source of cells has changed since its deposit")


def test_a_deposit_of_no_page_is_named(place):
    place.parent.rename(place.parent.with_name("old-page"))
    assert str(place.parents[1] / "old-page" / "0") in refused(
        "belongs to no page. There is no page 'old-page'"
    )


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("scores.csv.gz", r"scores.csv.gz does not exist"),
        ("manifest.json", r"manifest.json is not a readable manifest"),
        ("truth.h5ad", r"truth.h5ad does not exist"),
        ("cells.h5ad", r"by-hand/0 lacks the predictions of cells"),
    ],
)
def test_a_file_that_is_missing_is_named(place, lost, message):
    (place / lost).unlink()
    assert str(place) in refused(message)


def test_a_file_that_the_manifest_does_not_name_is_named(place):
    shutil.copy(place / "cells.h5ad", place / "extra.h5ad")
    refused("extra.h5ad is not the file that manifest.json names")


def test_no_deposit_at_all_is_an_error(place):
    shutil.rmtree(place)
    refused("There is no deposit in .*results")


# ---- update


@pytest.fixture
def built(place, tmp_path, monkeypatch):
    """A finished book build of the page, with a model that is no headline and a second mode."""
    monkeypatch.setattr(deposit, "ROOT", tmp_path)
    monkeypatch.setattr(deposit, "in_tier", lambda tier: [PAGE, Page("intro", "Introduction", "Start")])
    made = tmp_path / deposit.folder("book") / "bundles" / PAGE.id
    made.parent.mkdir(parents=True)
    shutil.copytree(place, made)
    for name in ("cells-A", "cells_too"):
        shutil.copy(made / "cells.h5ad", made / f"{name}.h5ad")
    (made / "notes.txt").write_text("not kept")
    return made


def test_update_deposits_small_files_truth_and_headline_models_and_replaces_what_was_there(built, place):
    (place / "stale.csv").write_text("old")
    assert list(deposit.update()) == [place]
    assert {path.name for path in place.iterdir()} == {
        "truth.h5ad",
        "cells.h5ad",
        "cells-A.h5ad",
        "manifest.json",
        "scores.csv.gz",
    }
    assert [path.name for path in place.parent.iterdir()] == ["0"]


def test_update_deposits_under_the_seed_of_the_page(built, monkeypatch):
    seeded = replace(PAGE, parameters={"seed": 7})
    monkeypatch.setattr(deposit, "in_tier", lambda tier: [seeded])
    assert [path.name for path in deposit.update()] == ["7"]


def test_update_of_a_page_that_has_not_been_built_is_refused_and_keeps_the_deposit(built, place):
    shutil.rmtree(built)
    with pytest.raises(
        PerturbookError, match="Page by-hand has no finished bundle at .*; run `make book` first"
    ):
        list(deposit.update())
    assert len(list(deposit.check())) == 1
