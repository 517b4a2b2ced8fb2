"""The genes a score looks at: chosen on the scored cells they flatter, and more of them are a longer distance."""

import numpy as np
import pandas as pd
import pytest

from perturbook.data import Profiles
from perturbook.pages import traps_lists


def screen(mean, dose=(0.0, 1.0, 10.0)):
    """One line, one drug at two doses, by hand."""
    obs = pd.DataFrame(
        {
            "context": "A",
            "perturbation": ["control", "x", "x"],
            "dose_um": dose,
            "is_control": [True, False, False],
        }
    )
    obs.index = pd.Index(
        [f"A|{p}|{d:g}" for p, d in zip(obs["perturbation"], dose, strict=True)], name="condition"
    )
    mean = np.array(mean, dtype=float)
    return Profiles(
        obs=obs.assign(n_cells=5),
        mean=mean,
        variance=np.ones_like(mean),
        genes=np.arange(mean.shape[1]).astype(str),
    )


def test_without_any_effect_only_the_scored_cells_choose_genes_that_seem_to_change():
    table = traps_lists.chosen(seed=0, n_cells=50, repeats=10, planted=False)
    change = table.groupby(["de_source", "k"])["change"].mean().unstack("k")
    assert (change.loc["test_truth"] > 0.15).all()
    assert (change.loc[["split_half", "train_visible"]].abs() < 0.05).all(axis=None)
    assert change.loc["test_truth"].is_monotonic_decreasing
    assert table["best_gain"].isna().all()


def test_on_genes_chosen_on_the_scored_cells_the_true_effect_is_best_when_exaggerated():
    table = traps_lists.chosen(seed=0, n_cells=50, repeats=10, planted=True)
    gain = table[table["k"] == 20].groupby("de_source")["best_gain"].mean()
    assert gain["test_truth"] > 1.03
    assert gain["split_half"] == pytest.approx(1, abs=0.03)
    assert gain["train_visible"] == pytest.approx(1, abs=0.03)


def test_an_equal_error_in_every_gene_grows_with_the_square_root_of_the_genes():
    control = np.arange(1, 101)
    table = traps_lists.l2_by_length(screen([control, control - 1, control + 2]))
    l2 = table.set_index(["predictor", "genes"])["l2"]
    assert sorted(set(table["genes"])) == [25, 50, 100]
    for k in (25, 50, 100):
        assert l2["no change", k] == pytest.approx(2 * np.sqrt(k))
        assert l2["same drug, lower dose", k] == pytest.approx(3 * np.sqrt(k))


def test_a_list_chosen_on_treated_cells_holds_genes_that_rose_by_hand():
    # control puts genes 2 and 3 on top; the drug raises gene 0 by 9
    new, risen = traps_lists.list_that_tells(screen([[1, 2, 3, 4], [1, 2, 3, 4], [10, 2, 3, 4]]), k=2)
    assert (new, risen) == (1, 9)
