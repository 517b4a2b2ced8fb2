"""Every number of the gene sets that their specification states; Hallmark and the format have a file of their own."""

import re

import numpy as np
import pytest
from conftest import load_or_skip

from perturbook.data import fetch


@pytest.fixture(scope="module")
def go():
    return load_or_skip("geneset-go-bp")


@pytest.fixture(scope="module")
def markers():
    return load_or_skip("geneset-celltypes")


def lines(name):
    (path,) = fetch(name)
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def symbols_and_sizes(sets):
    sizes = [len(symbols) for symbols in sets.values()]
    distinct = {symbol for symbols in sets.values() for symbol in symbols}
    return len(sets), len(distinct), min(sizes), np.median(sizes), max(sizes)


def test_go_has_the_stated_sets_symbols_and_sizes(go):
    assert symbols_and_sizes(go) == (6036, 14937, 5, 14, 2244)
    assert sum(15 <= len(symbols) <= 500 for symbols in go.values()) == 2923


def test_a_go_name_ends_in_its_identifier_and_has_no_description(go):
    assert all(re.search(r" \(GO:\d{7}\)$", name) for name in go)
    assert "'de novo' posttranslational protein folding (GO:0051084)" in go
    assert {line[1] for line in lines("geneset-go-bp")} == {""}


def test_markers_have_the_stated_sets_symbols_and_sizes(markers):
    assert symbols_and_sizes(markers) == (77, 18092, 33, 194, 500)


def test_symbols_of_markers_keep_their_case(markers):
    mixed = {symbol for symbols in markers.values() for symbol in symbols if symbol != symbol.upper()}
    assert len(mixed) == 579 and "C19orf82" in mixed


def test_six_marker_sets_repeat_a_symbol_which_is_kept_once(markers):
    repeating = [line[0] for line in lines("geneset-celltypes") if len(set(line[2:])) < len(line[2:])]
    assert len(repeating) == 6
    assert all(len(set(symbols)) == len(symbols) for symbols in markers.values())
