"""The part Foundations: which cells its pages show, what they say of bins and draws, and that sentences follow the numbers."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

from perturbook import data
from perturbook.models.scgpt import Sizes, Vocabulary, random_backbone
from perturbook.models.scgpt.reference_draws import collate_in_order, tokens_in_order
from perturbook.pages import foundations
from perturbook.pages import foundations_draws as draws
from perturbook.pages import foundations_embeddings as embeddings
from perturbook.pages import foundations_input as shown
from perturbook.pages import foundations_pretraining as pretraining
from perturbook.pages import foundations_randomness as randomness
from perturbook.pages import foundations_verdicts as verdicts

GENES = [f"G{i:02}" for i in range(40)]


def make_cells(per_group: int = 20) -> AnnData:
    """Types B and NK, control and IFN-beta; 40 genes of few counts."""
    rng = np.random.default_rng(0)
    groups = [(t, p) for t in ("B", "NK") for p in ("control", "IFN-beta") for _ in range(per_group)]
    types, treatments = (np.array(column) for column in zip(*groups, strict=True))
    rates = np.where((types == "B")[:, None] == (np.arange(40) < 20), 3.0, 0.7)
    rates[:, -5:] *= np.where(treatments == "IFN-beta", 6, 1)[:, None]
    counts = rng.poisson(rates).astype(np.float32)
    cells = AnnData(sp.csr_matrix(counts), uns={"value_kind": "counts"})
    cells.var_names, cells.obs_names = GENES, [f"cell{i}" for i in range(len(groups))]
    cells.obs = cells.obs.assign(
        dataset="made",
        context=types,
        perturbation=treatments,
        is_control=treatments == "control",
        n_counts=counts.sum(axis=1),
    )
    return cells


@pytest.fixture(scope="module")
def cells():
    return make_cells()


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary.of(GENES)


@pytest.fixture(scope="module")
def model(vocabulary):
    sizes = Sizes(n_tokens=len(vocabulary), embsize=16, nheads=2, d_hid=16, nlayers=2, pad_id=vocabulary.pad)
    return random_backbone(sizes, 0, vocabulary)


def test_the_typical_cell_of_a_group_is_the_one_of_median_depth(cells):
    found = foundations.typical(cells)
    assert list(foundations.label(found.obs)) == ["B, IFN-beta", "B, control", "NK, IFN-beta", "NK, control"]
    group = cells.obs[(cells.obs["context"] == "NK") & cells.obs["is_control"]]
    assert (
        found.obs["n_counts"].iloc[3] == np.sort(group["n_counts"])[9]
    )  # the lower of the two in the middle


def test_a_sample_is_even_and_does_not_depend_on_the_order_of_cells(cells):
    few = foundations.sample(cells, 3, seed=1)
    assert few.obs.groupby(["context", "perturbation"], observed=True).size().tolist() == [3] * 4
    assert list(foundations.sample(cells[::-1].copy(), 3, seed=1).obs_names) == list(few.obs_names)
    assert set(foundations.sample(cells, 3, seed=2).obs_names) != set(few.obs_names)
    assert foundations.sample(cells, 0, seed=1).n_obs == cells.n_obs


def test_simulated_cells_stand_in_for_data_that_cannot_be_had_and_the_page_says_so(monkeypatch):
    monkeypatch.setattr(data, "available", lambda name: False)
    cells = foundations.cells_of("kang2018-mini")
    assert len(foundations.conditions(cells)) == 2 and foundations.conditions(cells)[0] == "control"
    treated = cells.obs[~cells.obs["is_control"]]
    assert treated["dose_um"].nunique() == 1
    said = foundations.banner(cells, asked=("kang2018-mini",)).data
    assert "Simulated cells" in said and "stand in for kang2018-mini" in said


def test_entries_are_the_expressed_genes_with_bins_that_other_seeds_keep_within_bounds(cells, vocabulary):
    few = foundations.typical(cells)
    found = shown.entries(few, vocabulary)
    assert len(found) == few.X.nnz
    for row in found.sample(40, random_state=0).itertuples():
        cell = few[row.cell]
        assert cell.X.toarray()[0, GENES.index(row.gene)] == row.count
        assert row.lognorm == pytest.approx(
            np.log1p(1e4 * row.count / cell.obs["n_counts"].iloc[0]), abs=1e-5
        )
    for seed in range(1, 6):
        other = shown.entries(few, vocabulary, seed)
        assert ((other["bin"] >= found["lowest"]) & (other["bin"] <= found["highest"])).all()
    assert (other["bin"] != found["bin"]).any()


def test_a_cell_without_ties_leaves_nothing_to_draw():
    cell = AnnData(sp.csr_matrix(np.arange(1, 41, dtype=np.float32)[None]))
    cell.var_names, cell.obs_names = GENES, ["one"]
    cell.obs = cell.obs.assign(context="B", perturbation="control", n_counts=820.0)
    found = shown.entries(cell, Vocabulary.of(GENES))
    inside = found[(found["count"] > 1) & (found["count"] < 40)]
    assert (inside["lowest"] == inside["highest"]).all()


def test_genes_of_one_count_and_bin_are_drawn_as_one_point(cells, vocabulary):
    found = shown.entries(foundations.typical(cells), vocabulary)
    grouped = shown.by_count(found, named=1)
    assert grouped["genes"].sum() == len(found)
    several = grouped[grouped["genes"] > 1].iloc[0]
    assert several["names"].endswith(" and others") and several["names"].split()[0] in GENES


def test_losses_by_hand():
    frame = {"label": ["a"] * 4, "count": [1, 1, 2, 5], "bin": [3, 9, 40, 50], "lowest": [1, 1, 40, 50]}
    found = pd.DataFrame({**frame, "highest": [25, 25, 40, 50]})
    lost = shown.losses(found, found.assign(bin=[3, 10, 40, 50]))
    wanted = {"expressed": 4, "levels": 3, "ones": 50, "spanned": 25, "free": 50, "moved": 25}
    assert lost.to_dict() == wanted


def test_a_cell_times_three_is_the_same_cell_and_half_a_cell_is_not(cells, vocabulary):
    found = shown.rescaled(foundations.typical(cells), vocabulary).set_index("change")
    assert found.loc["all counts times three", ["kept", "moved"]].tolist() == [1, 0]
    assert (
        found.loc["half of the molecules", "kept"] < 1 and found.loc["half of the molecules", "moved"] > 0.2
    )


def test_the_widest_bin_is_the_one_that_hides_most():
    found = pd.DataFrame(
        {"gene": ["A", "A", "A", "B", "B"], "bin": [50, 50, 49, 3, 3], "lognorm": [1.0, 4.0, 9.0, 1.0, 2.0]}
    )
    assert shown.widest_bin(found) == {"gene": "A", "bin": 50, "low": 1.0, "high": 4.0}


def test_markers_are_those_of_blood_or_else_the_genes_of_most_cells(cells, vocabulary):
    found = shown.entries(cells, vocabulary)
    assert shown.markers(found)["gene"].nunique() == len(shown.MARKERS)
    assert set(shown.markers(found.assign(gene="LYZ"))["gene"]) == {"LYZ"}


def test_the_token_table_begins_with_cls_and_falls_in_bins(cells, vocabulary):
    found = shown.entries(foundations.typical(cells), vocabulary)
    text = shown.token_table(found, vocabulary, "B, control", shown=3).data
    assert text.index("&lt;cls&gt;") < text.index("<code>G") and text.count("<tr>") == 5


def test_kinship_by_hand():
    cells = make_cells(1)
    cells.obsm["X"] = np.array(
        [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8]]
    )  # B control, B IFN, NK control, NK IFN
    found = shown.kinship(shown.similarities(cells, "X"))
    assert found["same_type"] == pytest.approx((0.8 + 0.8) / 2)
    assert found["same_condition"] == pytest.approx((0.0 + 0.96) / 2)
    assert found["other_type"] == pytest.approx((0.6 + 0.6) / 2)


def test_with_one_worker_the_reference_scheme_is_one_stream_over_all_cells(cells, model):
    few = cells[:9].copy()
    ids = model.vocabulary.ids_of(GENES)
    whole = tokens_in_order(few.X.toarray(), ids, (model.vocabulary.cls, -2.0))
    wanted = collate_in_order(whole, np.random.RandomState([3, 0]), torch.Generator().manual_seed(3000), 1200)
    found = draws.reference_tokens(few, model, seed=3, workers=1)
    for (ids_a, bins_a), (ids_b, bins_b) in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ids_a, ids_b)
        np.testing.assert_array_equal(bins_a, bins_b)


def test_the_second_worker_begins_a_stream_of_its_own(cells, model):
    first, other = (draws.reference_tokens(cells[:12], model, workers=n) for n in (2, 1))
    same = [np.array_equal(a[1], b[1]) for a, b in zip(first, other, strict=True)]
    assert all(same[:8]) and not any(same[8:])


def test_only_the_seed_moves_our_embeddings_and_everything_moves_the_reference(cells, model):
    few = foundations.sample(cells, 5, seed=0)
    found = randomness.changes(few, randomness.runs(few, model, range(3)))
    worst = found.groupby(["scheme", "changed"])[["distance", "moved"]].max()
    for changed in ("cells around it", "order of cells"):
        assert worst.loc[(randomness.OURS, changed), "moved"] == 0
        assert worst.loc[(randomness.OURS, changed), "distance"] < 1e-6
    assert worst.loc[(randomness.NO_DRAWS, "seed")].tolist() == [0, 0]
    assert worst.loc[(randomness.OURS, "seed"), "moved"] > 0.2
    for changed in ("batch size", "workers", "order of cells", "seed"):
        assert worst.loc[(randomness.REFERENCE, changed), "moved"] > 0.2
    facts = randomness.facts(found, 0.5)
    assert facts["ours_moved"] == 0 and facts["reference_share"] == pytest.approx(
        200 * facts["reference_seed"]
    )
    assert "<td>0 %</td>" in randomness.change_table(found).data


def test_one_cell_keeps_its_bins_under_our_rule_whatever_stands_around_it(cells, model):
    cell = randomness.richest(cells)
    found = randomness.one_cell(cells, model, cell, range(4), most=10)
    ours = found[found["scheme"] == randomness.OURS]
    assert len(ours) == 4 * found["gene"].nunique()
    assert randomness.mean_range(found, randomness.OURS) == 0
    assert randomness.mean_range(found, randomness.REFERENCE) > 5


def test_scvi_does_not_apply_to_logarithms_and_says_why():
    cells = make_cells(16)
    cells.uns["value_kind"] = "lognorm"
    pca, scvi = embeddings.arms(cells, ["pca", "scvi"], seed=0, scvi_epochs=1)
    assert scvi.values is None and "needs counts" in scvi.reason
    assert pca.values.shape[0] == cells.n_obs and "64 cells" in pca.said
    scores = embeddings.scored(cells, [pca, scvi])
    found = embeddings.summary(cells, [pca, scvi], scores, resamples=50, seed=0)
    assert "scVI: it needs counts" in verdicts.score_table(found, [pca, scvi], "scores").data
    assert set(found["name"]) == {"pca", embeddings.CHANCE}


def test_planted_types_and_conditions_are_seen_and_shuffled_cells_score_chance(cells):
    (pca,) = arms = embeddings.arms(cells, ["pca"], seed=0, scvi_epochs=1)
    found = embeddings.summary(cells, arms, embeddings.scored(cells, arms), resamples=50, seed=0)
    mean = found.set_index(["name", "score"])["mean"]
    assert mean["pca", "type_knn"] > 0.95 and mean["pca", "condition_auroc"] > 0.9
    assert mean[embeddings.CHANCE, "type_knn"] == pytest.approx(0.5, abs=0.06)
    assert mean[embeddings.CHANCE, "condition_auroc"] == pytest.approx(0.5, abs=0.06)


def made_summary(own, other):
    rows = [("small", "scGPT, small", own), ("random", "scGPT, random weights", 0.3), ("pca", "PCA", other)]
    frame = pd.DataFrame(rows, columns=["name", "embedding", "mean"])
    return frame.assign(score="type_knn", low=frame["mean"] - 0.1, high=frame["mean"] + 0.1, cells=9)


def made_differences(low, high):
    rows = [
        (other, score, (low + high) / 2, low, high)
        for other in ("pca", "random")
        for score in embeddings.SHORT
    ]
    return pd.DataFrame(rows, columns=["other", "score", "mean", "low", "high"])


def test_the_sentence_names_the_winner_whoever_it_is():
    lost = verdicts.winner(made_summary(0.5, 0.7), made_differences(-0.3, -0.1), "Here").data
    assert "“PCA” is best" in lost and "“scGPT, small” has 0.500" in lost and "without zero" in lost
    won = verdicts.winner(made_summary(0.9, 0.7), made_differences(-0.1, 0.3), "Here").data
    assert "“scGPT, small” is best" in won and "that holds zero" in won


@pytest.mark.parametrize(
    ("low", "high", "word"), [(0.1, 0.2, "above"), (-0.2, -0.1, "below"), (-0.1, 0.2, "not told apart from")]
)
def test_the_verdict_follows_the_paired_interval(low, high, word):
    said = verdicts.verdict(made_summary(0.5, 0.7), made_differences(low, high)).data
    assert f"- Type: {word} PCA, scGPT, random weights." in said


CARD = {
    "name": "small",
    "title": "a model",
    "licence": "BSD-3-Clause",
    "trained_on": [{"dataset": "pbmc3k", "options": {}, "sha256": "ab" * 32, "contexts": ["B"], "cells": 90}],
    "cells": {"training": 80, "validation": 10},
    "vocabulary": {"genes": 40, "genes_never_seen": 4},
    "parameters": 1234,
    "objective": {"max_length": 96, "ratios": [0.25, 0.5], "cells_per_step": 32},
    "settings": {"learning_rate": 0.001, "warmup_steps": 10},
    "seed": 0,
    "steps": 100,
    "best_step": 80,
    "hardware": "a machine",
    "seconds": {"training": 120},
    "limits": ["It is small."],
    "validation": {
        "scores": {
            "model": {"all": 60.0, "pbmc3k": 60.0},
            "overall mean": {"all": 200.0, "pbmc3k": 200.0},
            "gene mean": {"all": 100.0, "pbmc3k": 100.0},
            "gene mean by context": {"all": 70.0, "pbmc3k": 70.0},
            "random ties alone": {"all": 20.0, "pbmc3k": 20.0},
        }
    },
}


def test_the_way_from_gene_means_to_the_limit_by_hand():
    assert pretraining.explained(CARD) == pytest.approx(0.5)


def test_the_answer_says_so_where_the_model_loses():
    assert "less than a table of gene means (100.0) and below" in pretraining.answer(CARD).data
    worse = json.loads(json.dumps(CARD))
    worse["validation"]["scores"]["model"]["all"] = 110.0
    said = pretraining.answer(worse).data
    assert "no less than a table of gene means (100.0) and above" in said
    assert pretraining.explained(worse) < 0


def test_the_card_and_its_scores_are_shown_whole():
    text = pretraining.card_table(CARD).data
    for fact in (
        "1,234",
        "pbmc3k 90",
        "40 genes, 4 of them",
        "weights of step 80",
        "2 min",
        "BSD-3-Clause",
    ):
        assert fact in text
    assert pretraining.score_table(CARD).data.count("<tr>") == 6
    assert "It is small." in pretraining.limits(CARD).data
    assert "abababababab" in pretraining.checksums(CARD).data


def test_the_curve_keeps_errors_at_generated_genes(tmp_path):
    table = pd.DataFrame(
        [(0, "training", "generated", 9.0), (0, "training", "masked", 8.0), (5, "validation", "loss", 7.0)],
        columns=["step", "part", "term", "value"],
    )
    table.to_csv(tmp_path / "curve.csv", index=False)
    found = pretraining.curve(tmp_path)
    assert found.to_numpy().tolist() == [[0, "training batches", 9.0], [5, "held-out cells", 7.0]]


def test_training_is_repeated_only_when_asked_for():
    assert pretraining.repeated(False, 0) is None
    assert "was not repeated" in pretraining.comparison(CARD, None).data
    assert "weights differ" in pretraining.comparison(CARD, {**CARD, "identical": False}).data
