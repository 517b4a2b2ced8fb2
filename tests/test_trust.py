"""Files whose checksum nobody can vouch for: listed by a third party, trusted on first use, pinned, refused after that."""

import hashlib
import json
import warnings
from dataclasses import replace

import pytest

import perturbook.data as data
from perturbook.data.cache import find
from perturbook.data.dataset import DATASETS, Dataset, PublicFile
from perturbook.data.trust import doubts, listing, pin, pinned, standing
from perturbook.errors import InputError

BYTES = b"cells and genes" * 100
MD5, SHA256 = hashlib.md5(BYTES).hexdigest(), hashlib.sha256(BYTES).hexdigest()
LISTED = PublicFile(
    name="cells.bin",
    url="https://example.org/cells.bin",
    licence="none",
    size=len(BYTES),
    listed=f"md5:{MD5}",
    listed_by="a third party",
)
UNKNOWN = replace(LISTED, size=0, listed="", listed_by="")
NAME = "made-for-a-test"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache that holds the bytes, and no offline folder."""
    monkeypatch.setenv("PERTURBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PERTURBOOK_MIRROR", raising=False)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cells.bin").write_bytes(BYTES)
    return tmp_path / "cache"


@pytest.fixture
def entry():
    """Register an entry of one file."""

    def register(file):
        entry = Dataset(
            name=NAME,
            title="",
            prepare=lambda path: path.read_bytes(),
            files=(file,),
            full_size=True,
            cells=False,
        )
        DATASETS.add(NAME, entry)
        return NAME

    yield register
    DATASETS.pop(NAME, None)


def test_bytes_as_listed_are_used_without_a_warning_and_never_called_right(cache, entry):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.load(entry(LISTED)) == BYTES
    said = data.verify(NAME)["cells.bin"]
    assert said == f"cells.bin: md5 as listed by a third party. sha256 {SHA256}: trusted on first use."
    assert "verified" not in said and "right" not in said


def test_other_bytes_than_listed_are_used_with_a_warning_that_names_the_listing(cache, entry):
    (cache / "cells.bin").write_bytes(BYTES + b"!")
    found = hashlib.md5(BYTES + b"!").hexdigest()
    why = (
        f"cells.bin differs from the listing of a third party: it has 1,501 bytes, listed are 1,500 and its md5 is {found}, "
        f"listed is {MD5}. It is trusted on first use."
    )
    with pytest.warns(UserWarning) as said:
        assert data.load(entry(LISTED)) == BYTES + b"!"
    assert [str(one.message) for one in said] == [why]


def test_an_unknown_checksum_is_said_aloud(cache, entry):
    with pytest.warns(
        UserWarning, match="No checksum of cells.bin is known beforehand. It is trusted on first use"
    ):
        data.load(entry(UNKNOWN))


@pytest.mark.parametrize("file", [LISTED, UNKNOWN], ids=["listed", "unknown"])
def test_a_pin_is_kept_and_a_later_change_is_refused_with_both_sums(cache, entry, file):
    pin(file, cache / "cells.bin")
    assert pinned(file) == SHA256
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.load(entry(file)) == BYTES  # told once, not on every call
    assert data.verify(NAME)["cells.bin"].endswith(f"sha256 {SHA256}: the same bytes as at the first use.")
    (cache / "cells.bin").write_bytes(BYTES[::-1])
    other = hashlib.sha256(BYTES[::-1]).hexdigest()
    with pytest.raises(
        InputError, match=f"its sha256 is {other}, expected {SHA256}, pinned when it was first prep"
    ):
        data.load(NAME)
    assert not data.available(NAME) and (cache / "cells.bin").read_bytes() == BYTES[::-1]
    pin(file, cache / "cells.bin")
    assert pinned(file) == SHA256  # the first use counts
    (cache / "pins" / "cells.bin.json").unlink()
    assert data.available(NAME)


def test_a_pin_is_a_small_table_in_the_cache_and_nothing_is_pinned_that_the_registry_knows(cache):
    pin(UNKNOWN, cache / "cells.bin")
    assert json.loads((cache / "pins" / "cells.bin.json").read_text()) == {
        "file": "cells.bin",
        "sha256": SHA256,
    }
    known = replace(LISTED, name="known.bin", sha256=SHA256)
    pin(known, cache / "cells.bin")
    assert pinned(known) == "" and doubts(known, cache / "cells.bin") == ""
    assert standing(known, cache / "cells.bin") == "checksum right"
    assert listing(known, cache / "cells.bin") == "known.bin: checksum right."


def test_what_identifies_an_entry_without_a_known_checksum_is_the_sha256_found(cache, entry):
    assert data.checksum(entry(UNKNOWN)) == SHA256


def test_the_offline_folder_is_searched_by_name_where_no_checksum_is_known(cache, monkeypatch, tmp_path):
    (cache / "cells.bin").unlink()
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("PERTURBOOK_MIRROR", str(mirror))
    (mirror / "another name").write_bytes(BYTES)
    assert find(LISTED) is None
    (mirror / "cells.bin").write_bytes(BYTES)
    assert find(LISTED) == mirror / "cells.bin"
