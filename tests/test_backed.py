"""Files opened without loading: the same checks, splits, audits and profiles as in memory, bit for bit, block by block."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from anndata import read_zarr
from anndata.abc import CSRDataset
from anndata.io import sparse_dataset

from perturbook import splits
from perturbook.data import blocks, load, open_backed, pseudobulk
from perturbook.errors import InputError, LeakError

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from million_cells import generate

CELLS, GENES, ROWS = 20_000, 60, 700
CASES = [("unseen_drug", {}), ("unseen_combination", {}), ("zero_shot_context", {"mode": "B"})]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The machinery of the million-cell benchmark, at the size of a test."""
    path = tmp_path_factory.mktemp("generated") / "cells.zarr"
    generate(path, CELLS, GENES, rows=3_000)
    return path


@pytest.fixture(scope="module")
def in_memory(path):
    return load(path)


@pytest.fixture
def reads(path, monkeypatch):
    """Cells per read of a matrix on disk, in small blocks; a read that is no slice of rows fails."""
    on_disk = type(sparse_dataset(zarr.open_group(path, mode="r")["X"]))
    sizes, plain = [], on_disk.__getitem__

    def watched(self, rows):
        assert isinstance(rows, slice) and rows.step is None
        sizes.append(rows.stop - rows.start)
        return plain(self, rows)

    def refuse(self):
        raise AssertionError("the whole matrix was read")

    monkeypatch.setattr(on_disk, "__getitem__", watched)
    monkeypatch.setattr(on_disk, "to_memory", refuse)
    monkeypatch.setattr(blocks.row_blocks, "__defaults__", (ROWS,))
    return sizes


def test_opening_checks_labels_and_values_in_blocks_and_leaves_the_values_on_disk(path, reads):
    cells = open_backed(path)
    assert cells.shape == (CELLS, GENES) and isinstance(cells.X, CSRDataset)
    assert isinstance(cells.layers["lognorm"], CSRDataset)
    assert cells.uns["origin"]["name"] == "cells.zarr" and len(cells.uns["origin"]["sha256"][0]) == 64
    assert max(reads) == ROWS and sum(reads) >= 2 * CELLS


def test_profiles_are_those_of_the_cells_in_memory_to_the_last_bit(path, in_memory, reads):
    cells = open_backed(path)
    reads.clear()
    one, other = pseudobulk(cells), pseudobulk(in_memory)
    assert max(reads) == ROWS and sum(reads) == 3 * CELLS
    pd.testing.assert_frame_equal(one.obs, other.obs)
    assert one.mean.tobytes() == other.mean.tobytes()
    assert one.variance.tobytes() == other.variance.tobytes()


@pytest.mark.parametrize(("setting", "options"), CASES)
def test_splits_and_audits_are_those_of_the_cells_in_memory(path, in_memory, reads, setting, options):
    cells = open_backed(path)
    reads.clear()
    part, same = (splits.split(one, setting, **options) for one in (cells, in_memory))
    assert reads == []  # a split looks at labels alone
    for name in ("train", "valid", "test", "query", "reference"):
        np.testing.assert_array_equal(getattr(part, name), getattr(same, name))
    assert splits.audit(cells, part.blind()) == splits.audit(in_memory, same.blind())
    assert max(reads) == ROWS and sum(reads) == CELLS


def test_a_copy_of_a_test_cell_is_found_on_disk_too(in_memory, tmp_path, reads):
    part = splits.split(in_memory, "unseen_drug")
    changed = in_memory.copy()
    values = changed.layers["lognorm"].tolil()
    rows = changed.obs_names.get_indexer([part.test[0], part.train[-1]])
    values[rows[1]] = values[rows[0]]
    changed.layers["lognorm"] = changed.X = sp.csr_matrix(values)
    changed.uns["value_kind"] = "lognorm"
    changed.write_zarr(tmp_path / "copy.zarr")
    with pytest.raises(LeakError, match="Test cells that a model sees under another name: 1 found"):
        splits.audit(open_backed(tmp_path / "copy.zarr"), part)


def test_an_h5ad_file_opens_the_same_way(in_memory, tmp_path, reads):
    in_memory.write_h5ad(tmp_path / "cells.h5ad")
    cells = open_backed(tmp_path / "cells.h5ad")
    assert isinstance(cells.X, CSRDataset) and max(reads) == ROWS
    assert pseudobulk(cells).variance.tobytes() == pseudobulk(in_memory).variance.tobytes()


def test_dense_intensities_are_read_in_blocks_of_rows(screen, tmp_path, monkeypatch):
    screen.X = screen.X.toarray() + np.float32(0.5)
    screen.layers.pop("lognorm")
    screen.uns["value_kind"] = "log_intensity"
    screen.write_zarr(tmp_path / "dense.zarr")
    monkeypatch.setattr(blocks.row_blocks, "__defaults__", (7,))
    cells = open_backed(tmp_path / "dense.zarr")
    assert not isinstance(cells.X, np.ndarray)
    assert pseudobulk(cells).mean.tobytes() == pseudobulk(screen).mean.tobytes()


def test_a_wrong_value_names_the_block_of_cells_it_is_in(in_memory, tmp_path, reads):
    changed = in_memory.copy()
    changed.X.data[changed.X.indptr[1500]] = 1.5
    changed.write_zarr(tmp_path / "wrong.zarr")
    message = r"Cells 1,401 to 2,100: X is declared as counts but .* are not whole: 1.5 "
    with pytest.raises(InputError, match=message):
        open_backed(tmp_path / "wrong.zarr")


def test_totals_are_compared_over_all_cells_and_not_within_a_block(in_memory, tmp_path, reads):
    """Within a block of cells of one depth no rank agrees with any other."""
    order = np.argsort(in_memory.obs["n_counts"].to_numpy(), kind="stable")
    in_memory[order].copy().write_zarr(tmp_path / "sorted.zarr")
    open_backed(tmp_path / "sorted.zarr")
    wrong = in_memory.copy()
    wrong.obs["n_counts"] = np.random.default_rng(0).permutation(wrong.obs["n_counts"]) + 400
    wrong.layers["lognorm"].data[:] = np.log1p(
        1e4 * wrong.X.data / np.repeat(wrong.obs["n_counts"].to_numpy(), np.diff(wrong.X.indptr))
    )
    wrong.write_zarr(tmp_path / "wrong.zarr")
    with pytest.raises(InputError, match="does not follow the totals of X: Spearman"):
        open_backed(tmp_path / "wrong.zarr")


def test_a_lost_chunk_is_not_read_as_zeros(path, tmp_path):
    shutil.copytree(path, tmp_path / "torn.zarr")
    chunks = sorted((tmp_path / "torn.zarr" / "layers" / "lognorm" / "data").glob("[0-9]*"))
    chunks[-1].unlink()
    message = (
        rf"torn.zarr: layers/lognorm/data has {len(chunks) - 1} of {len(chunks)} chunks; copy the folder"
    )
    for read in (load, open_backed):
        with pytest.raises(InputError, match=message):
            read(tmp_path / "torn.zarr")
    silent = read_zarr(tmp_path / "torn.zarr").layers["lognorm"]
    assert (silent.data == 0).any()  # what the library alone makes of it
