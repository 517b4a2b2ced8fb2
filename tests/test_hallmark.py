"""The Hallmark sets, and the reader of the format they come in."""

import numpy as np
import pytest
from conftest import load_or_skip

from perturbook.data.gmt import read_gmt
from perturbook.errors import InputError


def test_fifty_sets_with_the_stated_sizes():
    sets = load_or_skip("geneset-hallmark")
    sizes = [len(symbols) for symbols in sets.values()]
    assert len(sets) == 50 and len({symbol for symbols in sets.values() for symbol in symbols}) == 4384
    assert (min(sizes), np.median(sizes), max(sizes)) == (32, 180, 200)
    assert sets["HALLMARK_TNFA_SIGNALING_VIA_NFKB"][:3] == ["JUNB", "CXCL2", "ATF3"]
    assert "ISG15" in sets["HALLMARK_INTERFERON_ALPHA_RESPONSE"]


def test_order_and_case_are_kept_and_repeats_dropped(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text("one\thttp://x\tC19orf82\tTP53\tC19orf82\ntwo\t\tMYC\t\n")
    assert read_gmt(path) == {"one": ["C19orf82", "TP53"], "two": ["MYC"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one\taddress\n", "line 1: set 'one' has no symbols"),
        ("one\n", "line 1: set 'one' has no symbols"),
        ("one\ta\tTP53\n\ta\tTP53\n", "line 2: the set has no name"),
        ("one\ta\tTP53\t\tMYC\n", "line 1: set 'one' has an empty symbol"),
        ("one\ta\tTP53\t MYC\n", "has an empty symbol or one with spaces"),
        ("one\ta\tTP53\none\ta\tMYC\n", "line 2: set 'one' stands here a second time"),
        ("\n\n", "holds no gene set"),
    ],
)
def test_malformed_lines_are_refused_with_their_number(tmp_path, text, message):
    path = tmp_path / "sets.gmt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_gmt(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_gmt(path)
