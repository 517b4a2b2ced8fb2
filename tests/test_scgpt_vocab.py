"""The scGPT vocabulary: its ids, its special tokens, and how many genes of each data set it knows."""

import json

import pytest
from conftest import load_or_skip

from perturbook.data import fetch, load, scgpt_vocab
from perturbook.data.scgpt_vocab import with_special_tokens
from perturbook.errors import InputError


@pytest.fixture(scope="module")
def vocabulary():
    return load_or_skip("scgpt-vocab")


def test_60694_symbols_numbered_in_order_though_the_file_is_not_sorted(vocabulary):
    assert list(vocabulary.values()) == list(range(60_694))
    (path,) = fetch("scgpt-vocab")
    in_file = json.loads(path.read_text())
    assert in_file == vocabulary and list(in_file) != list(vocabulary)


def test_special_tokens_are_appended_in_order_once(vocabulary):
    assert not any(symbol.startswith("<") for symbol in vocabulary)
    whole = with_special_tokens(vocabulary)
    assert list(whole.items())[60_694:] == [("<pad>", 60_694), ("<cls>", 60_695), ("<eoc>", 60_696)]
    assert with_special_tokens(whole) == whole and len(vocabulary) == 60_694
    assert with_special_tokens({"A": 0, "<cls>": 1}) == {"A": 0, "<cls>": 1, "<pad>": 2, "<eoc>": 3}


@pytest.mark.parametrize(
    ("name", "known", "genes"),
    [
        ("norman2019-mini", 246, 250),
        ("mcfaline2023-mini", 430, 438),
        ("kang2018-mini", 6328, 6998),
        ("pbmc3k", 12_300, 13_714),
        ("pbmc68k-reduced", 705, 765),
        ("l1000-mini", 949, 978),
    ],
)
def test_share_of_genes_it_knows(vocabulary, name, known, genes):
    names = load_or_skip(name).var_names
    assert (sum(gene in vocabulary for gene in names), len(names)) == (known, genes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"A": 0, "B": 2}', "is no vocabulary"),
        ('{"A": 0, "B": 0}', "is no vocabulary"),
        ('["A", "B"]', "is no vocabulary"),
        ('{"A": "0"}', "is no vocabulary"),
        ('{"A": 0', "is not JSON"),
        (b"\xff", "is not JSON"),
    ],
)
def test_a_gap_a_repeat_or_another_file_is_refused(tmp_path, text, message):
    path = tmp_path / "vocab.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        scgpt_vocab.prepare(path)


def test_loading_again_gives_the_same_order(vocabulary):
    assert list(load("scgpt-vocab").items()) == list(vocabulary.items())
