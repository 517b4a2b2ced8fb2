"""Leaderboard: who beats the best floor, in words and tables; undefined is a word and labels are data."""

import numpy as np
import pandas as pd
import pytest
from hand_made_scores import FOUR, PAGE, UP, twelve, write_bundle

from perturbook.errors import ConfigError, InputError
from perturbook.pages import leaderboard
from perturbook.pages.standings import bundle_folders, standings
from perturbook.pages.table import ROOT


def test_an_opponent_that_wins_is_named_with_its_paired_interval(tmp_path):
    board = standings(write_bundle(tmp_path / PAGE, twelve(0.05)), 200)
    said = "“Context-aware ridge” beats the best floor, “Mean of training”: 0.050 [0.050, 0.050]."
    assert (leaderboard.outcome(board), leaderboard.verdict(board)) == ("wins", said)


def test_too_few_conditions_for_an_interval_are_said_to_be_few(tmp_path):
    board = standings(write_bundle(tmp_path / PAGE, FOUR), 100).query("metric == @UP")
    assert leaderboard.outcome(board) == "few"
    assert leaderboard.verdict(board).startswith(
        "no interval, with 3 conditions; the best opponent, “Context-aware"
    )


def test_a_floor_that_wins_is_said_to_win(tmp_path):
    board = standings(write_bundle(tmp_path / PAGE, twelve(-0.05)), 200)
    assert leaderboard.outcome(board) == "loses"
    assert leaderboard.verdict(board).startswith("the floor wins")


def test_an_interval_that_includes_0_is_no_win_for_either_side(tmp_path):
    board = standings(write_bundle(tmp_path / PAGE, twelve([0.05, -0.05] * 6)), 200)
    assert leaderboard.outcome(board) == "even"
    assert leaderboard.verdict(board).startswith("no opponent beats the best floor")


def test_a_page_without_a_defined_opponent_says_so(tmp_path):
    board = standings(write_bundle(tmp_path / PAGE, twelve(np.nan)), 200)
    assert leaderboard.outcome(board) == "none"
    assert leaderboard.verdict(board) == "no opponent has a defined score here."


def test_without_a_bundle_the_deposits_are_used_or_the_reader_is_told(tmp_path):
    deposits = list((ROOT / "results").glob("*/*/scores.csv.gz"))
    if deposits:
        assert leaderboard.deposited(str(tmp_path))
    else:
        with pytest.raises(InputError, match="Run `make book` or name"):
            bundle_folders(str(tmp_path))


@pytest.fixture
def board(tmp_path):
    write_bundle(tmp_path / PAGE, FOUR)
    write_bundle(tmp_path / "simulated-unseen-drug", twelve(0.05), synthetic=True)
    return leaderboard.load(str(tmp_path), 100)


def test_every_row_of_a_simulated_page_says_so(board):
    assert set(board.loc[board["page"] == "simulated-unseen-drug", "cells"]) == {"simulated"}
    assert set(board.loc[board["page"] == PAGE, "cells"]) == {"real"}
    simulated = [
        line for line in leaderboard.main_table(board, UP).data.split("<tr>") if "simulated-unseen" in line
    ]
    assert len(simulated) == 3 and all("<td>simulated</td>" in line for line in simulated)


def test_the_first_sentence_counts_the_pages_and_each_page_has_a_line(board):
    text = leaderboard.answer(board, UP).data
    assert "of 2 pages: on 1 an opponent beats the best floor" in text
    assert "on 1 there are too few conditions or drugs for an interval" in text
    assert text.count("<li>") == 2 and "Differences with an interval: 1;" in text


def test_undefined_is_a_word_in_the_tables_and_in_the_file_and_nothing_is_bold(board, tmp_path):
    table = leaderboard.main_table(board, UP).data
    assert "<td>undefined (0 of 4)</td>" in table and "nan" not in table.lower()
    assert "<b>" not in table and "<strong>" not in table
    read = pd.read_csv(
        leaderboard.write_csv(board, tmp_path / "kept"), na_values=["undefined"], keep_default_na=False
    )
    assert len(read) == len(board) == 5 * 3 + 3
    none = read[(read["method"] == "no_change") & (read["metric"] == UP)].iloc[0]
    assert np.isnan(none["mean"]) and none["n_total"] == 4
    assert "nan" not in (tmp_path / "kept" / "leaderboard.csv").read_text().lower()


def test_the_room_of_a_page_without_an_oracle_is_undefined_beside_a_paired_duplicate(board):
    lines = leaderboard.room_table(board, UP).data.split("<tr>")
    assert "<td>0.400</td><td>undefined</td>" in next(line for line in lines if PAGE in line)


def test_a_metric_that_is_not_scored_is_refused_with_those_that_are(board):
    with pytest.raises(
        ConfigError, match="'nir' is not scored. Scored: pearson_delta_ctrl, rel_rmse_cell, var_ratio"
    ):
        leaderboard.main_table(board, "nir")


def test_markup_in_labels_is_inert_in_tables_and_sentences(tmp_path):
    evil = "<script>alert(1)</script>"
    write_bundle(tmp_path / PAGE, twelve(0) | {(evil, ""): {UP: np.arange(12) + 5.0}})
    board = leaderboard.load(str(tmp_path), 100).assign(title=evil, data=evil)
    made = [
        leaderboard.main_table(board, UP),
        leaderboard.metrics_table(board),
        leaderboard.answer(board, UP),
    ]
    for one in (*made, leaderboard.room_table(board, UP)):
        assert "<script" not in one.data and "&lt;script&gt;" in one.data
