"""R data files: read without R, and one plain error for everything that is no such file."""

import gzip
import lzma
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import rdata

from perturbook.data.rda import read_rda
from perturbook.errors import InputError

TABLE = pd.DataFrame({"gene": ["MS4A1", "NKG7"], "mean": [2.2, 23.84]}, index=["a", "b"])


@pytest.fixture
def path(tmp_path):
    rdata.write_rda(tmp_path / "some.rda", {"table": TABLE, "numbers": np.arange(3.0)})
    return tmp_path / "some.rda"


def test_a_table_comes_out_as_it_went_in(path, recwarn):
    found = read_rda(path, "table", pd.DataFrame)
    assert found["mean"].tolist() == [2.2, 23.84] and found["gene"].tolist() == ["MS4A1", "NKG7"]
    assert not recwarn.list


def test_an_object_that_is_not_there_or_of_another_kind_is_named(path):
    with pytest.raises(InputError, match=r"some.rda holds no R object 'pbmc_meta', only 'table', 'numbers'"):
        read_rda(path, "pbmc_meta", pd.DataFrame)
    with pytest.raises(InputError, match="'numbers' came out as ndarray, expected SimpleNamespace"):
        read_rda(path, "numbers", SimpleNamespace)


@pytest.mark.parametrize("compress", [lambda raw: raw, gzip.compress, lzma.compress])
@pytest.mark.parametrize("kept", [0, 0.05, 0.5, 0.98])
def test_a_truncated_file_is_one_error_with_name_and_remedy(path, compress, kept):
    raw = compress(gzip.decompress(path.read_bytes()))
    path.write_bytes(raw[: int(kept * len(raw))])
    with pytest.raises(
        InputError, match=r"some.rda cannot be read as an R data file: it is cut.*fetch it again"
    ):
        read_rda(path, "table", pd.DataFrame)


@pytest.mark.parametrize(
    "content",
    [
        b"gene,mean\nMS4A1,2.2\n",
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        b"PK\x03\x04" + bytes(50),
        gzip.compress(b"text", mtime=0),
        b"RDX3\nA\n1\n",
        b"RDX9\nX\n" + bytes(40),
    ],
)
def test_a_foreign_file_is_refused_in_the_same_words(path, content):
    path.write_bytes(content)
    with pytest.raises(InputError, match="some.rda cannot be read as an R data file"):
        read_rda(path, "table", pd.DataFrame)


def test_one_object_saved_without_its_name_is_refused(path):
    rdata.write_rds(path, TABLE)
    with pytest.raises(InputError, match="UserWarning: Unknown file type: assumed RDS"):
        read_rda(path, "table", pd.DataFrame)


def test_a_changed_byte_never_escapes_as_another_error(path):
    raw = gzip.decompress(path.read_bytes())
    refused = 0
    for at in range(0, len(raw), 3):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x41]) + raw[at + 1 :])
        try:
            read_rda(path, "table", pd.DataFrame)
        except InputError:
            refused += 1
    assert refused > 20  # a changed letter or digit is still a readable file; the checksum catches those
