"""Tables of scores that are made once: what is written comes back, packed or not, and only of the data that the page has."""

import gzip

import pandas as pd
import pytest

from perturbook import data
from perturbook.errors import InputError
from perturbook.pages import trained_table

ROWS = pd.DataFrame({"arm": ["sae", "nmf"], "value": [0.25, 1 / 3]})
COLUMNS = ["arm", "value"]
OF = "simulated-latent"


@pytest.mark.parametrize("name", ["scores.csv", "scores.csv.gz"])
def test_a_table_comes_back_with_six_decimals_and_a_record_beside_it(tmp_path, name):
    trained_table.write(ROWS, tmp_path / name, "a-page", OF, {"seed": 0})
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "scores.json"]
    pd.testing.assert_frame_equal(trained_table.read(tmp_path / name, COLUMNS, "a-page", OF), ROWS.round(6))


def test_a_packed_table_has_the_same_bytes_whenever_it_is_written(tmp_path, monkeypatch):
    path, made = tmp_path / "scores.csv.gz", []
    for seconds in (1.0e9, 2.0e9):
        monkeypatch.setattr("time.time", lambda seconds=seconds: seconds)
        trained_table.write(ROWS, path, "a-page", OF, {})
        made.append(path.read_bytes())
    assert made[0] == made[1] and gzip.decompress(made[0]).decode().splitlines()[0] == "arm,value"


def test_a_table_that_is_missing_of_other_columns_or_of_other_data_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "scores.csv.gz"
    with pytest.raises(InputError, match="is missing; make it with `perturbook train a-page`"):
        trained_table.read(path, COLUMNS, "a-page", OF)
    trained_table.write(ROWS, path, "a-page", OF, {})
    with pytest.raises(InputError, match="has columns arm, value; expected arm, seed, value"):
        trained_table.read(path, ["arm", "seed", "value"], "a-page", OF)
    monkeypatch.setattr(data, "checksum", lambda name: "0")
    with pytest.raises(InputError, match="was made from other data than simulated-latent now holds"):
        trained_table.read(path, COLUMNS, "a-page", OF)
