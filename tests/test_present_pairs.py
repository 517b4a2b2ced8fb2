"""A page of gene pairs says how much of each pair training saw alone, and which genes it never did."""

from types import SimpleNamespace

import pandas as pd
import pytest

from perturbook.pages.present_pairs import seen_alone


def study(parts, asked, context="K562"):
    layout = pd.DataFrame([(context, *row) for row in parts], columns=["context", "perturbation", "part"])
    obs = pd.DataFrame({"context": context, "perturbation": asked})
    return SimpleNamespace(layout=layout, bundle=SimpleNamespace(truth=SimpleNamespace(obs=obs)))


PARTS = [("A", "training and test"), ("B", "training and validation"), ("C", "test"), ("A+C", "not used")]


def test_pairs_are_counted_by_what_training_holds_alone_and_single_conditions_do_not_count():
    said = seen_alone(study(PARTS, ["A+B", "A+C", "C+D", "D+E", "A"])).data
    assert "Of 4 pairs asked about, training holds both genes alone for 1, one for 1, neither for 2." in said
    assert "Never alone in training: C, D, E." in said


def test_a_gene_alone_in_another_context_is_not_known_here():
    one = study(PARTS, ["A+B"])
    one.layout["context"] = "RPE1"
    assert "neither for 1" in seen_alone(one).data


def test_nothing_is_said_where_no_pair_is_asked_about():
    assert seen_alone(study(PARTS, ["A", "B"])).data == ""


def test_a_long_list_is_cut_and_a_label_with_markup_stays_inert():
    said = seen_alone(study(PARTS, [f"<b>{i:02d}+A" for i in range(15)])).data
    assert "&lt;b&gt;00" in said and "<b>" not in said and "and 3 more" in said


@pytest.mark.parametrize("part", ["training", "validation", "training and validation"])
def test_validation_cells_count_as_seen(part):
    assert "both genes alone for 1" in seen_alone(study([("A", part), ("B", part)], ["A+B"])).data
