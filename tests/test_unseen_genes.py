"""The Settings chapter, genes and pairs of genes: what each setting puts where, and how far the known singles carry."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hand_made import cells as made_by_hand
from hand_made import grid

from perturbook import data, splits
from perturbook.pages import present_unseen, unseen_genes
from perturbook.splits import SETTINGS

WORLD = "world-2"


@pytest.fixture(scope="module")
def cells():
    return data.load("simulated-pairs", size="small", expectation=False)


@pytest.fixture(scope="module")
def made(cells):
    return unseen_genes.examples(cells, 0, WORLD)


@pytest.fixture(scope="module")
def board(cells, made):
    return unseen_genes.board(cells, made)


def parts(board, setting, on_diagonal):
    """The parts that the singles, or the doubles, of a setting play."""
    rows = board[(board["setting"] == setting) & ((board["first"] == board["second"]) == on_diagonal)]
    return set(rows["part"])


def test_every_setting_of_genes_in_the_registry_is_drawn_in_one_world(made):
    of_genes = {name for name, rule in SETTINGS.items() if rule.of_genes}
    assert set(made) == of_genes - {"norman_protocol"}  # it needs singles of more cells than a world has
    assert all(set(split.conditions["context"]) == {WORLD} for split in made.values())


@pytest.mark.parametrize("seed", range(12))
def test_no_stratum_is_empty_whatever_the_seed_and_the_new_genes_are_the_same(cells, seed):
    made = unseen_genes.examples(cells, seed, WORLD)
    new = {tuple(made[name].options["unseen_genes"]) for name in ("double_seen1", "double_seen0")}
    assert new == {tuple(unseen_genes.new_genes(cells, seed, WORLD))} and len(*new) == unseen_genes.N_NEW
    assert all(len(split.conditions) for split in made.values())


def test_the_board_has_every_measured_condition_once_per_setting(cells, made, board):
    obs = cells.obs[(cells.obs["context"] == WORLD) & ~cells.obs["is_control"]]
    for name, rows in board.groupby("setting"):
        assert sorted(rows["condition"]) == sorted(obs["perturbation"].unique())
        for word, names in (("training", made[name].train), ("validation", made[name].valid)):
            assert rows[word].sum() == np.isin(names, obs.index).sum()
        assert rows["test"].sum() == len(made[name].test)
    labels = np.where(
        board["first"] == board["second"], board["first"], board["first"] + "+" + board["second"]
    )
    assert (labels == board["condition"]).all()


@pytest.mark.parametrize(
    ("setting", "singles", "doubles"),
    [
        ("seen_single", {"training and test"}, {"not used"}),
        ("unseen_single", {"training", "validation", "test"}, {"training", "validation", "not used"}),
        ("double_seen2", {"training"}, {"test"}),
        ("double_seen1", {"training", "not used"}, {"test", "not used"}),
        ("double_seen0", {"training", "not used"}, {"test", "not used"}),
        ("additive_split", {"training"}, {"training", "validation", "test"}),
        ("gears", {"training", "validation", "test"}, {"training", "validation", "test"}),
    ],
)
def test_what_singles_and_doubles_are_used_for(board, setting, singles, doubles):
    assert parts(board, setting, on_diagonal=True) == singles
    assert parts(board, setting, on_diagonal=False) == doubles


@pytest.mark.parametrize("n", [2, 1, 0])
def test_the_doubles_asked_about_have_as_many_known_genes_as_the_setting_says(board, n):
    tested = board[(board["setting"] == f"double_seen{n}") & (board["part"] == "test")]
    assert set(tested["seen"]) == {f"{n} of 2"}


def test_singles_and_doubles_asked_about_are_counted_by_what_training_holds():
    screen = made_by_hand(grid(["K562"], ["A", "B", "C", "D", "A+B", "B+C", "C+D"], doses=(np.nan,), n=10))
    split = splits.split(screen, "double_seen1", held_out="A")
    assert list(unseen_genes.singles_known(screen, split).values()) == [0, 0, 1, 0, 1, 0, 0]
    split = splits.split(screen, "unseen_single", held_out=["A", "D"])
    assert list(unseen_genes.singles_known(screen, split).values()) == [2, 0, 0, 0, 0, 0, 1]
    split = splits.split(screen, "seen_single")
    assert list(unseen_genes.singles_known(screen, split).values()) == [4, 4, 0, 0, 0, 0, 0]


def test_the_table_of_known_singles_has_a_row_per_setting(cells, made):
    said = present_unseen.single_table(cells, made).data
    assert said.count("<tr>") == 1 + len(made)
    n = len(made["double_seen2"].conditions)
    assert f"<td>double_seen2</td><td>0</td><td>0</td><td>{n}</td><td>{n}</td><td>0</td>" in said


def test_known_changes_are_added_up_and_a_double_of_two_new_genes_has_no_sum():
    # Changes of A, B and C; each double is the sum of its two genes, and control cells are all alike.
    changes = dict(zip("ABC", np.eye(3, 8) * [[1], [2], [4]], strict=True))
    rows = grid(["K562"], [*"ABC", "A+B", "A+C", "B+C"], doses=(np.nan,), n=20, controls=4)
    values = [sum((changes[g] for g in label.split("+") if g in changes), np.ones(8)) for _, label, _ in rows]
    screen = made_by_hand(rows, values)
    both = unseen_genes.sums(screen, splits.split(screen, "double_seen2"))
    assert both[["first", "second"]].to_numpy().tolist() == [["A", "B"], ["A", "C"], ["B", "C"]]
    np.testing.assert_allclose(both["correlation"], 1)
    one = unseen_genes.sums(screen, splits.split(screen, "double_seen1", held_out="A"))
    assert set(one["known"]) == {1}
    expected = [np.corrcoef(changes["A"] + changes[gene], changes[gene])[0, 1] for gene in "BC"]
    np.testing.assert_allclose(one["correlation"], expected, rtol=1e-6)
    none = unseen_genes.sums(screen, splits.split(screen, "double_seen0", held_out=["A", "B"]))
    assert none["known"].tolist() == [0] and none["correlation"].isna().all()


def test_each_known_gene_less_costs_and_without_any_the_score_is_undefined(cells, made):
    sums = {
        name: unseen_genes.sums(cells, made[name])
        for name in ("double_seen2", "double_seen1", "double_seen0")
    }
    means = [found["correlation"].mean() for found in sums.values()]
    assert means[0] > means[1] > 0 and np.isnan(means[2])
    said = present_unseen.sum_table(sums, resamples=200, seed=0).data
    assert f"<td>double_seen2</td><td>{means[0]:.2f} [" in said
    assert "<td>double_seen0</td><td>undefined</td>" in said


def test_few_doubles_get_a_mean_without_an_interval():
    pairs = list(combinations("ABC", 2))
    found = pd.DataFrame(pairs, columns=["first", "second"]).assign(correlation=[0.1, 0.2, 0.3])
    assert "<td>0.20</td><td>3</td>" in present_unseen.sum_table({"few": found}, 200, 0).data
