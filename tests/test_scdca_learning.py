"""The adapter has learned: what its stored predictions show on the simulated screen, where the truth is known.

Source: scdca.md, acceptance check 10. At the highest dose, by paired intervals over conditions that resample drugs.
"""

from functools import cache

import pytest

from perturbook.evaluation import Bundle, score
from perturbook.evaluation.comparisons import comparisons
from perturbook.evaluation.prediction_file import read_prediction
from perturbook.evaluation.truth_file import TRUTH, read_truth
from perturbook.pages.table import ROOT


@cache
def errors(page):
    """Table of RMSE at the highest dose of everything deposited for a page."""
    folder = ROOT / "results" / page / "0"
    truth = read_truth(folder)
    made = [read_prediction(path, truth) for path in sorted(folder.glob("*.h5ad")) if path.name != TRUTH]
    scores = score(Bundle(truth, made), ["rmse_mean"])
    return scores[scores["dose_um"] == scores["dose_um"].max()]


def minus(page, first, second):
    """Bounds of the error of `first` minus that of `second`."""
    rows = comparisons(errors(page), "rmse_mean", second).set_index("method")
    return rows.loc[first, "low"], rows.loc[first, "high"]


@pytest.mark.parametrize("floor", ["no_change", "mean_train"])
def test_on_an_unseen_combination_the_adapter_beats_no_change_and_the_mean(floor):
    assert minus("simulated-unseen-combination", "scdca", floor)[1] < 0


def test_what_it_gains_comes_from_the_drug_that_it_is_told():
    assert minus("simulated-unseen-combination", "scdca_permuted", "scdca")[0] > 0
    assert minus("simulated-unseen-combination", "scdca_permuted", "mean_train")[1] >= 0


def test_on_an_unseen_drug_the_molecule_helps_and_another_drugs_molecule_does_not():
    page = "simulated-unseen-drug"
    assert minus(page, "scdca", "no_change")[1] < 0
    assert minus(page, "scdca_shuffled", "scdca")[0] > 0
    assert minus(page, "scdca_shuffled", "mean_train")[1] >= 0  # its gain over the mean is gone
