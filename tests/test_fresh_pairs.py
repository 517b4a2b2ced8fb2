"""Fresh worlds: the anchored residual beats every sum where nobody had looked, and the sentence follows the numbers."""

import pandas as pd
import pytest

from perturbook.errors import InputError
from perturbook.pages import fresh_pairs as study
from perturbook.pages import fresh_pairs_shown as shown


@pytest.mark.parametrize("floor", study.FLOORS)
def test_on_fresh_worlds_planted_doubles_are_nearer_than_any_sum_and_additive_ones_are_not_lost(floor):
    rows = study.stored()
    planted = study.differences(rows, "anchored_residual", True)[floor]
    additive = study.differences(rows, "anchored_residual", False)[floor]
    assert planted.n_defined > 200 and planted.high < 0
    assert additive.n_defined > 100 and additive.low <= 0


def test_the_fresh_worlds_are_not_those_of_the_book():
    from perturbook import data

    book, fresh = (
        data.load("simulated-pairs", size="small", seed=s, expectation=False) for s in (0, study.SEED)
    )
    assert (book.uns["truth"]["programs"] != fresh.uns["truth"]["programs"]).any()


@pytest.mark.slow
def test_the_study_can_be_made_again_at_a_small_size(tmp_path):
    to = tmp_path / "fresh.csv"
    lines = list(study.make(to, "small", ("additive_pairs", "additive_ridge")))
    rows = pd.read_csv(to)
    assert lines == ["world-1: 16 doubles", "world-2: 16 doubles"] and len(rows) == 32
    assert set(rows["interaction_class"]) >= {"additive", "synergy"} and (rows["additive_pairs"] > 0).all()
    with pytest.raises(InputError, match="expected world, double"):
        study.stored(to)


def deposit(residual, trees, floor=0.5):
    rows = pd.DataFrame(
        {"world": "world-1", "double": range(20), "interaction_class": ["additive", "synergy"] * 10}
    )
    values = dict.fromkeys(study.FLOORS, floor) | {"anchored_residual": residual, "boosted_anchors": trees}
    return rows.assign(**values)


@pytest.mark.parametrize(
    ("residual", "trees", "words"),
    [
        (0.4, 0.3, ("is nearer than every one", "does not lose", "“Boosted trees on anchors” is the better")),
        (
            0.3,
            0.4,
            ("is nearer than every one", "does not lose", "“Anchored residual, gene by gene” is the better"),
        ),
        (0.6, 0.6, ("is not nearer than", "loses on additive", "Neither of the two is better")),
    ],
)
def test_the_sentence_follows_the_numbers(residual, trees, words):
    said = shown.answer(deposit(residual, trees), 200).data
    assert all(word in said for word in words)
    assert "synergy" not in shown.gain_table(deposit(residual, trees), 200).data
