"""From scores to claims: what conditions share, what pairs buy, and how many tests were made."""

import numpy as np
import pytest

from perturbook.pages import traps_statistics


def test_five_differences_never_reach_five_percent_and_six_do():
    table = traps_statistics.smallest((3, 4, 5, 6))
    assert table["p"].to_list() == pytest.approx([0.25, 0.125, 0.0625, 0.03125])
    assert table["2 / 2^n"].to_list() == pytest.approx(table["p"].to_list())


def test_intervals_that_ignore_what_conditions_share_miss_the_truth_far_too_often():
    table = traps_statistics.missed(seed=0, repeats=60).set_index(["conditions", "interval"])
    for conditions in ("20 drugs at 4 doses", "66 doubles of 12 genes"):
        naive, shared = table.loc[conditions].loc[["conditions alone", "what they share"]].to_dict("records")
        assert naive["missed"] > 0.15 and shared["missed"] < 0.15
        assert shared["width"] > 1.3 * naive["width"]


def test_a_paired_interval_is_narrower_where_conditions_differ_more_than_methods():
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 1, 40)
    first, second = hard + rng.normal(0.2, 0.1, 40), hard + rng.normal(0, 0.1, 40)
    found = traps_statistics.paired_widths(first, second, np.arange(40).astype(str), seed=0)
    assert found["low"] > 0 and found["paired"] < found["unpaired"] / 4
    assert found["difference"] == pytest.approx(np.mean(first - second))


def test_without_correction_most_pages_hold_a_lucky_method_and_with_it_few_do():
    found = traps_statistics.lucky_pages(seed=0, repeats=60)
    assert found["p"] > 0.4 and found["q"] < 0.12
