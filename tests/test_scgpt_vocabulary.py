"""The vocabulary: ids by name, consecutive, each used once; what does not match is said with its likely cause."""

import json

import numpy as np
import pytest
from conftest import load_or_skip

from perturbook.errors import InputError
from perturbook.models.scgpt.vocabulary import Vocabulary


def write(folder, text):
    path = folder / "vocab.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return path


def test_a_file_need_not_be_sorted_and_ids_are_looked_up_by_name(tmp_path):
    found = Vocabulary.read(write(tmp_path, {"B": 3, "<cls>": 0, "A": 1, "<pad>": 4, "<eoc>": 2}))
    assert found.tokens == ("<cls>", "A", "<eoc>", "B", "<pad>")
    assert (found.pad, found.cls, found.eoc, found["B"], len(found)) == (4, 0, 2, 3, 5)
    assert found.appended == () and "A" in found and "C" not in found


def test_missing_special_tokens_are_appended_in_their_order_and_reported(tmp_path):
    found = Vocabulary.read(write(tmp_path, {"A": 0, "<cls>": 1, "B": 2}))
    assert found.tokens == ("A", "<cls>", "B", "<pad>", "<eoc>")
    assert found.appended == ("<pad>", "<eoc>")
    assert Vocabulary.of(["A"]).to_ids() == {"A": 0, "<pad>": 1, "<cls>": 2, "<eoc>": 3}


def test_writing_and_reading_gives_the_same_vocabulary(tmp_path):
    one = Vocabulary.of(["B", "A", "é"])
    assert Vocabulary.read(write(tmp_path, one.to_ids())) == one
    assert hash(Vocabulary.of(["B", "A", "é"])) == hash(one) and one != Vocabulary.of(["A", "B", "é"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"A": 0, "B": 2}, r"2 tokens need the ids 0 to 1, and 1 is missing"),
        ({"A": 1, "B": 2}, "0 is missing"),
        ({"A": 0, "B": 0}, "the id 0 is used twice, by 'A' and 'B'"),
        ('{"A": 0, "A": 1}', "the token 'A' stands twice"),
        ({"A": "0"}, "the id of 'A' is '0'; expected a whole number"),
        ({"A": 0.0}, "the id of 'A' is 0.0"),
        ({"A": True}, "the id of 'A' is True"),
        ({"A": -1, "B": 0}, "1 is missing"),
        ({}, "the vocabulary is empty"),
        (["A", "B"], "holds a list; expected an object"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"A": ' + "9" * 5000 + "}", "is no JSON"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        Vocabulary.read(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="is missing"):
        Vocabulary.read(tmp_path / "vocab.json")
    (tmp_path / "vocab.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no JSON"):
        Vocabulary.read(tmp_path / "vocab.json")


def test_a_file_too_large_for_a_vocabulary_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("perturbook.models.scgpt.vocabulary.LARGEST_FILE", 10)
    with pytest.raises(InputError, match="too many for a vocabulary"):
        Vocabulary.read(write(tmp_path, {"A": 0, "B": 1}))


def test_tokens_given_by_hand_must_be_unique_and_complete():
    with pytest.raises(InputError, match="'A' stands twice"):
        Vocabulary(["A", "B", "A", "<pad>", "<cls>", "<eoc>"])
    with pytest.raises(InputError, match="has no <cls>"):
        Vocabulary(["A", "<pad>"])


def test_unknown_symbols_and_special_tokens_have_the_id_minus_one():
    known = Vocabulary.of(["A", "B", "C"])
    ids = known.ids_of(["C", "x", "<pad>", "<cls>", "A", "a"])
    assert ids.dtype == np.int64 and ids.tolist() == [2, -1, -1, -1, 0, -1]
    assert known.ids_of([]).shape == (0,)
    assert known.matched_share(["A", "x", "y", "B"]) == 0.5
    assert np.isnan(known.matched_share([]))


def test_genes_of_a_data_set_are_given_where_at_least_half_are_known():
    known = Vocabulary.of(["A", "B"])
    assert known.ids_of_data(["A", "x"]).tolist() == [0, -1]
    assert known.ids_of_data(["A", "x", "y"], least=0.3).tolist() == [0, -1, -1]


@pytest.mark.parametrize(
    ("symbols", "cause"),
    [
        (["ENSG00000141510", "ENSG00000012048.2"], "are Ensembl ids; name the var column"),
        (["ENSMUSG00000059552", "ENSMUSG00000017146"], "Ensembl ids of mouse; map them"),
        (["Trp53", "Brca1", "Actb"], "look like mouse or rat symbols"),
        (["0", "1", "2"], "are numbers; name the var column"),
        (["gene-1", "gene-2", "A"], "are no symbols of this vocabulary; check the species"),
        ([], "There are no genes at all"),
    ],
)
def test_too_few_known_genes_are_refused_with_the_share_and_the_likely_cause(symbols, cause):
    with pytest.raises(InputError, match=cause) as caught:
        Vocabulary.of(["A", "B", "TP53"]).ids_of_data(symbols)
    assert f"{int('A' in symbols)} of {len(symbols)} gene names" in str(caught.value)
    assert "less than 50%" in str(caught.value)


def test_the_whole_human_vocabulary_has_60697_tokens_and_pad_at_60694():
    found = Vocabulary.from_ids(load_or_skip("scgpt-vocab"))
    assert (len(found), found.pad, found.cls, found.eoc) == (60_697, 60_694, 60_695, 60_696)
    assert found.appended == ("<pad>", "<cls>", "<eoc>")
    assert found.ids_of(["TP53", "ENSG00000141510"]).tolist()[1] == -1 and found.ids_of(["TP53"])[0] >= 0
