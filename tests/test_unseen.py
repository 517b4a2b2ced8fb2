"""The Settings chapter, drugs and lines: what training knows in each setting, folds over pairs, nested supports."""

import numpy as np
import pytest

from perturbook import data
from perturbook.pages import present_unseen, unseen
from perturbook.splits import SETTINGS


@pytest.fixture(scope="module")
def cells():
    return data.load("simulated-drugs", size="small", expectation=False)


@pytest.fixture(scope="module")
def made(cells):
    return unseen.examples(cells, 0)


def test_every_setting_of_drugs_in_the_registry_is_drawn_and_zero_shot_in_both_modes(made):
    assert {name.split(",")[0] for name in made} == {
        name for name, rule in SETTINGS.items() if not rule.of_genes
    }
    assert {"zero_shot_context, mode A", "zero_shot_context, mode B"} < set(made)


def test_the_question_of_each_setting_is_asked_once(made):
    said = present_unseen.question_table(made).data
    for name in {split.setting for split in made.values()}:
        assert said.count(f"<code>{name}</code>") == 1 == said.count(SETTINGS[name].question)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("random_cells", ["all", "all", "all", "all"]),
        ("unseen_combination", ["none", "all", "all", "all"]),
        ("unseen_drug", ["none", "none", "all", "all"]),
        ("few_shot_context", ["none", "all", "all", "all"]),
        ("zero_shot_context, mode A", ["none", "all", "none", "all"]),
        ("zero_shot_context, mode B", ["none", "all", "none", "none"]),
    ],
)
def test_what_training_knows_of_the_conditions_asked_about(cells, made, name, expected):
    assert list(unseen.known(cells, made[name]).values()) == expected


def test_a_share_that_is_neither_all_nor_none_is_counted():
    assert unseen._share(np.array([True, False, True])) == "2 of 3"


def test_only_random_cells_can_be_looked_up_and_the_own_condition_says_more_than_the_others(cells, made):
    table = unseen.lookup(cells, made["random_cells"])
    assert len(table) == len(made["random_cells"].conditions)
    assert table["own"].mean() > table["others"].mean()
    assert all(unseen.lookup(cells, made[name]).empty for name in made if name != "random_cells")


def test_the_table_of_look_ups_gives_intervals_per_dose(cells, made):
    looked_up = unseen.lookup(cells, made["random_cells"])
    said = present_unseen.lookup_table(looked_up, resamples=200, seed=0).data
    low, high = (looked_up.loc[looked_up["dose_um"] == dose, "own"].mean() for dose in (1.0, 10.0))
    assert f"<td>1</td><td>{low:.2f} [" in said and f"<td>10</td><td>{high:.2f} [" in said


@pytest.mark.parametrize("setting", ["unseen_combination", "unseen_drug"])
def test_every_pair_of_drug_and_line_is_tested_in_exactly_one_of_five_folds(cells, setting):
    folds = unseen.folds(cells, setting, 0)
    assert list(folds) == ["1", "2", "3", "4", "5"]
    assert len(unseen.times_tested(cells, folds)) == 3 * 16
    assert (unseen.times_tested(cells, folds) == 1).all()
    del folds["2"]
    assert (unseen.times_tested(cells, folds) == 0).sum() == len(
        unseen.folds(cells, setting, 0)["2"].conditions[["context", "perturbation"]].drop_duplicates()
    )


def test_folds_are_laid_out_one_for_each_entry_of_the_menu(cells):
    folds = unseen.folds(cells, "unseen_combination", 0)
    rows = unseen.fold_rows(cells, folds)
    for number, split in folds.items():
        tested = rows[(rows["fold"] == number) & (rows["part"] == "test")]
        assert set(tested["context"] + " | " + tested["perturbation"]) == set(split.held_out)


def test_supports_of_one_seed_are_nested(cells):
    drugs = [set(s.options["support"]) for s in unseen.supports(cells, 0, [0, 2, 4, 8]).values()]
    assert drugs[0] < drugs[1] < drugs[2] < drugs[3] and [len(d) for d in drugs] == [0, 2, 4, 8]


def test_the_modes_differ_in_the_control_cells_of_the_new_and_the_validating_line_alone(cells, made):
    a, b = (unseen.rows_of(cells, {"": made[f"zero_shot_context, mode {mode}"]}) for mode in "AB")
    differ = a.index[a["part"] != b["part"]]
    assert set(a.loc[differ, "perturbation"]) == {"control"} and set(a.loc[differ, "part"]) == {"training"}
    split = made["zero_shot_context, mode B"]
    expected = {split.held_out[0]: "shown", split.options["validation_context"]: "validation"}
    assert b.loc[differ].set_index("context")["part"].to_dict() == expected


def test_rows_are_told_apart_by_words_or_kept_for_one_context(cells, made):
    split = made["few_shot_context"]
    line = split.held_out[0]
    assert set(unseen.rows_of(cells, {"k = 4": split})["context"]) >= {f"{line}, k = 4"}
    assert set(unseen.rows_of(cells, {"k = 4": split}, context=line)["context"]) == {"k = 4"}
