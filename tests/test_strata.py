"""Strata come from the truth and the split alone, count their conditions, and never change a value."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hand_made_bundle import KEYS, bundle, truth

from perturbook.data.molecules import morgan, tanimoto
from perturbook.evaluation import score, summarise
from perturbook.evaluation.strata import (
    SIMILAR,
    add_strata,
    singles_seen,
    sizes,
    strata,
    tercile,
    training_similarity,
)
from perturbook.splits import split


def test_thirds_by_hand_ties_together_and_undefined_in_none():
    assert tercile(np.array([3.0, 1, 2])).tolist() == ["high", "low", "middle"]
    assert tercile(np.array([5.0, 5, 5, 9])).tolist() == ["low", "low", "low", "high"]
    assert tercile(np.array([1.0, np.nan, 2, 3])).tolist() == ["low", np.nan, "middle", "high"]
    assert tercile(np.full(2, np.nan)).isna().all()


def test_effect_size_is_the_length_of_the_measured_change_whatever_was_predicted():
    # |(1, 0, 2)|, |(-1, -1, -3)| and |(1, 0, 1)| from the controls of each context
    labels = strata(truth(n_cells=(9, 5, 7)))
    assert labels["effect_tercile"].tolist() == ["middle", "high", "low"]
    assert labels["cells_tercile"].tolist() == ["high", "low", "middle"]


def test_classes_of_similarity_and_of_seen_genes():
    near = pd.Series([0.29, 0.3, 0.61], KEYS)
    labels = strata(truth(), similarity=near, seen=pd.Series([2, 0, 1], KEYS))
    assert labels["similarity"].tolist() == list(SIMILAR)
    assert labels["seen"].tolist() == ["seen 2", "seen 0", "seen 1"]
    unknown = strata(truth(), similarity=near[:2].replace(0.3, 0.6), seen=pd.Series([2], KEYS[:1]))
    assert unknown["similarity"].tolist() == ["<0.3", "0.3-0.6", np.nan]
    assert unknown["seen"].tolist() == ["seen 2", np.nan, np.nan]


def test_sizes_count_every_label_also_the_empty_one():
    made = sizes(strata(truth(n_cells=(5, 5, 5)))).set_index(["stratum", "label"])["n"]
    assert made["effect_tercile"].to_dict() == {"low": 1, "middle": 1, "high": 1}
    assert made["cells_tercile"].to_dict() == {"low": 3, "middle": 0, "high": 0}


def test_averages_within_strata_count_their_conditions_and_leave_values_alone():
    scores = score(bundle(), ["r2_mean"])
    labelled = add_strata(scores, strata(truth()))
    pd.testing.assert_frame_equal(labelled[scores.columns], scores)
    rows = summarise(labelled[labelled["method"] == "cells"], by=["effect_tercile"])
    assert rows["n_total"].sum() == 3 and (rows["n_total"] == 1).all()


def trained_on(screen, cells, asked):
    """A split whose model learns from `cells`, a mask over the screen, and is asked about `asked`."""
    names = screen.obs_names[cells].to_numpy(str)
    return replace(split(screen, "random_cells"), train=names, valid=names[:0], conditions=asked)


def test_the_nearest_training_drug_decides_and_a_drug_in_training_has_1(screen):
    asked = pd.DataFrame({"context": "K562", "perturbation": ["Aspirin", "Metformin"]}, ["x", "y"])
    found = training_similarity(screen, [trained_on(screen, screen.obs["perturbation"] != "Aspirin", asked)])
    smiles = screen.uns["perturbations"]["smiles"]
    by_hand = tanimoto(morgan(smiles[["Aspirin"]]), morgan(smiles[["Metformin"]])).item()
    assert 0 < by_hand < 0.3 and found.to_dict() == {"x": pytest.approx(by_hand), "y": 1}


def test_a_drug_without_a_structure_and_a_fold_without_drugs_have_no_similarity(screen):
    asked = pd.DataFrame({"context": "K562", "perturbation": ["Aspirin"]}, ["x"])
    controls = trained_on(screen, screen.obs["is_control"], asked)
    assert training_similarity(screen, [controls]).isna().all()
    screen.uns["perturbations"].loc["Aspirin", "smiles"] = ""
    assert training_similarity(screen, [trained_on(screen, screen.obs["dose_um"] >= 0, asked)]).isna().all()


def test_seen_genes_are_singles_in_training_of_the_same_context(screen):
    names = {"Aspirin": "A", "Metformin": "B"}
    obs = screen.obs.astype({"perturbation": str, "context": str})
    obs["perturbation"] = obs["perturbation"].replace(names)
    screen.obs = obs
    asked = pd.DataFrame(
        {"context": ["K562", "K562", "A549"], "perturbation": ["A+B", "C+A", "A+B"]}, ["x", "y", "z"]
    )
    made = trained_on(screen, obs["context"] == "K562", asked)
    assert singles_seen(screen, [made]).to_dict() == {"x": 2, "y": 1, "z": 0}
