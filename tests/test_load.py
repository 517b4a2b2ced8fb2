"""`load`: registry names and readers' own files."""

import numpy as np
import pytest

from perturbook.data import load
from perturbook.errors import ConfigError, InputError


def test_a_readers_own_file_is_checked_and_given_an_origin(screen, tmp_path):
    screen.write_h5ad(tmp_path / "mine.h5ad")
    mine = load(tmp_path / "mine.h5ad")
    assert mine.uns["origin"]["name"] == "mine.h5ad" and len(mine.uns["origin"]["sha256"][0]) == 64
    np.testing.assert_array_equal(mine.X.toarray(), screen.X.toarray())
    assert load(str(tmp_path / "mine.h5ad")).shape == screen.shape


def test_a_readers_own_bad_file_is_refused(screen, tmp_path):
    del screen.obs["dose_um"]
    screen.write_h5ad(tmp_path / "mine.h5ad")
    with pytest.raises(InputError, match="obs lacks dose_um"):
        load(tmp_path / "mine.h5ad")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="There is no file .*gone.h5ad"):
        load(tmp_path / "gone.h5ad")


def test_a_file_of_another_format_is_named(tmp_path):
    (tmp_path / "table.h5ad").write_text("gene,cell\n")
    with pytest.raises(InputError, match="table.h5ad is not an .h5ad"):
        load(tmp_path / "table.h5ad")


def test_a_truncated_file_is_named(screen, tmp_path):
    screen.write_h5ad(tmp_path / "whole.h5ad")
    whole = (tmp_path / "whole.h5ad").read_bytes()
    (tmp_path / "half.h5ad").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="half.h5ad cannot be read as .h5ad; it may be truncated"):
        load(tmp_path / "half.h5ad")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="Unknown data set 'kang2019-mini'.*kang2018-mini"):
        load("kang2019-mini")


def test_an_unknown_option_is_named_before_anything_is_fetched():
    with pytest.raises(ConfigError, match="kang2018-mini has no option seed. Allowed: none"):
        load("kang2018-mini", seed=1)


def test_a_file_takes_no_option(tmp_path):
    with pytest.raises(ConfigError, match=r"Options \['seed'\] given for the file"):
        load(tmp_path / "mine.h5ad", seed=1)
