"""Full-size data sets: read in blocks, what they need said first, equal to the whole read at once, kept once prepared."""

import shutil

import hand_made_full_size as hand_made
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import perturbook.data as data
from perturbook.data import blocks, full_size, stored_counts
from perturbook.data.dataset import DATASETS
from perturbook.data.full_size import kept_cells
from perturbook.data.gene_panel import GeneSums, choose
from perturbook.data.schema import condition_keys, normalise
from perturbook.data.trust import file_sha256, pinned
from perturbook.errors import ConfigError, InputError

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*trusted on first use", "ignore:Variable names are not unique"
)
NAME = "kang2018"
FILE = DATASETS[NAME].files[0]


@pytest.fixture
def put(tmp_path, monkeypatch):
    return hand_made.writer(tmp_path, monkeypatch, NAME)


@pytest.fixture
def read_sizes(monkeypatch):
    """Rows of every block that was read, with blocks of ten cells."""
    sizes, whole = [], blocks.row_blocks

    def counting(matrix, size=10):
        for rows, values in whole(matrix, size):
            if not sp.issparse(matrix):  # on disk, not the kept part in memory
                sizes.append(values.shape[0])
            yield rows, values

    monkeypatch.setattr(blocks, "row_blocks", counting)
    monkeypatch.setattr(blocks, "ROWS", 10)
    return sizes


def same(a, b):
    pd.testing.assert_frame_equal(a.obs, b.obs)
    assert list(a.var_names) == list(b.var_names)
    for one, other in ((a.X, b.X), (a.layers["lognorm"], b.layers["lognorm"])):
        assert one.dtype == other.dtype == np.float32
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    assert a.uns["origin"] == b.uns["origin"]
    pd.testing.assert_frame_equal(a.uns["perturbations"], b.uns["perturbations"])


def test_blocks_give_what_the_whole_file_in_memory_gives(put, read_sizes):
    made = hand_made.kang()
    put(made)
    found = data.load(NAME, genes=12)
    assert len(read_sizes) == 10 + 10 and max(read_sizes) == 10  # two readings of 96 cells
    sums = GeneSums.zero(made.n_vars)
    sums.add(made.X[(made.obs["label"] == "ctrl").to_numpy()])
    panel = choose(sums, made.var_names, 12, set())
    depth = np.asarray(made.X.sum(axis=1)).ravel()
    np.testing.assert_array_equal(found.X.toarray(), made.X[:, panel].toarray())
    np.testing.assert_array_equal(found.obs["n_counts"], depth)
    expected = normalise(sp.csr_matrix(made.X[:, panel], dtype=np.float32), depth)
    np.testing.assert_array_equal(found.layers["lognorm"].toarray(), expected.toarray())
    assert list(found.var_names) == list(made.var_names[panel]) and list(found.obs_names) == list(
        made.obs_names
    )


def test_treated_cells_do_not_decide_which_genes_stay(put):
    made = hand_made.kang()
    put(made)
    before = data.load(NAME, genes=12)
    made.X = sp.vstack([made.X[:48], hand_made.counts(48, seed=9)]).tocsr()  # the stimulated cells
    put(made)
    after = data.load(NAME, genes=12)
    assert list(after.var_names) == list(before.var_names) and (after.X != before.X).nnz


@pytest.mark.parametrize("where", ["csr", "csc", "dense", "layer"])
def test_counts_are_found_however_they_are_stored(put, where):
    made = hand_made.kang()
    put(made)
    expected = data.load(NAME, genes=12)
    if where == "layer":
        made.layers["counts"], made.X = made.X, made.X.astype(np.float32).log1p()
    else:
        made.X = made.X.toarray() if where == "dense" else made.X.asformat(where)
    put(made)
    found = data.load(NAME, genes=12)
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    assert found.uns["origin"]["mapped"]["counts"] == ("layers/counts" if where == "layer" else "X")


def test_the_need_is_said_before_the_first_count_is_read(put, monkeypatch, capsys):
    put(hand_made.kang())
    said = []
    monkeypatch.setattr(
        blocks, "row_blocks", lambda matrix, size: said.append(capsys.readouterr().err) or iter(())
    )
    with pytest.raises(ValueError):  # nothing was read
        data.load(NAME, genes=0)
    assert "kang_counts_25k.h5ad has 96 cells x 44 genes, of which 96 cells are kept" in said[0]
    assert "GB of memory" in said[0] and "GB of disk in" in said[0] and "stops before 16 GB" in said[0]


def test_the_need_is_an_upper_bound_of_what_is_kept(put):
    import h5py

    path = put(hand_made.kang())
    rows = np.arange(96) < 50
    with h5py.File(path) as file:
        stored = stored_counts.StoredCounts.of(file, path)
        most = stored_counts.VALUE_BYTES * stored.most_values(rows, 12)
        x, _ = stored.part(rows, np.arange(12))
    lognorm = stored_counts.normalise_in_blocks(x, np.ones(50))
    parts = [getattr(one, part).nbytes for one in (x, lognorm) for part in ("data", "indices")]
    assert sum(parts) <= most <= 16 * 50 * 12  # and not the whole file


def test_more_than_the_limit_is_refused_and_says_which_options_help(put, monkeypatch):
    put(hand_made.kang())
    monkeypatch.setattr(stored_counts, "LIMIT", 0)
    with pytest.raises(InputError, match=r"pass .* GB of memory at cell 96 of 96. Keep fewer genes"):
        data.load(NAME, genes=12)
    made = hand_made.kang()
    made.X = made.X.tocsc()
    put(made)
    with pytest.raises(InputError, match="stores X by genes; to turn it takes"):
        data.load(NAME, genes=12)


def test_a_second_call_reads_the_kept_copy_and_gives_the_same(put, read_sizes, tmp_path, capsys):
    put(hand_made.kang())
    first = data.load(NAME, genes=12)
    read_sizes.clear()
    capsys.readouterr()
    same(data.load(NAME, genes=12), first)
    assert read_sizes == [] and capsys.readouterr().err == ""
    shutil.rmtree(tmp_path / "cache" / "prepared")
    same(data.load(NAME, genes=12), first)
    assert len(read_sizes) == 20


def test_another_option_other_bytes_or_other_code_is_another_copy(put, tmp_path, monkeypatch):
    made = hand_made.kang()
    put(made)
    kept = tmp_path / "cache" / "prepared"
    data.load(NAME, genes=12)
    data.load(NAME, genes=12, cells_per_condition=2)
    assert len(list(kept.iterdir())) == 2
    monkeypatch.setattr(full_size, "source_hash", lambda path: "changed")
    data.load(NAME, genes=12)
    assert len(list(kept.iterdir())) == 3


def test_the_first_preparation_pins_the_file_and_a_failed_one_does_not(put):
    made = hand_made.kang()
    path = put(made[:, :].copy())
    with pytest.raises(ConfigError, match="genes must not be negative"):
        data.load(NAME, genes=-1)
    bad = hand_made.kang(columns=("label", "cell_type", "unknown"))
    put(bad)
    with pytest.raises(InputError):
        data.load(NAME)
    assert pinned(FILE) == ""
    put(made)
    data.load(NAME, genes=12)
    assert pinned(FILE) == file_sha256(path)
    put(hand_made.kang(n=9), trusted_anew=False)
    with pytest.raises(InputError, match=f"expected {pinned(FILE)}, pinned"):
        data.load(NAME, genes=12)


def test_cells_of_a_condition_are_drawn_by_name_and_controls_all_stay():
    obs = hand_made.kang().obs.rename(columns={"cell_type": "context"})
    obs = obs.assign(perturbation=obs["label"].map({"ctrl": "control", "stim": "IFN"}), dose_um=np.nan)
    kept = pd.Series(kept_cells(obs, 5, seed=0), obs.index)
    assert kept[obs["perturbation"] == "control"].all()
    treated = obs[kept & (obs["perturbation"] == "IFN")]
    assert pd.Series(condition_keys(treated)).value_counts().to_dict() == {
        "B cells|IFN": 5,
        "NK cells|IFN": 5,
    }
    shuffled = obs.sample(frac=1, random_state=1)
    again = pd.Series(kept_cells(shuffled, 5, seed=0), shuffled.index)
    assert again[obs.index].equals(kept)
    assert not pd.Series(kept_cells(obs, 5, seed=1), obs.index).equals(kept)
    assert kept_cells(obs, 0, seed=0).all() and kept_cells(obs, 1000, seed=0).all()


def test_what_was_found_is_in_the_origin_and_in_the_text_of_the_card(put):
    made = hand_made.kang()
    made.obs.loc["cell0000", "label"] = np.nan
    path = put(made)
    origin = data.load(NAME, genes=12, cells_per_condition=20).uns["origin"]
    assert origin["mapped"] == {
        "perturbation": "label",
        "context": "cell_type",
        "donor": "replicate",
        "counts": "X",
    }
    assert origin["left_out"].startswith("87 of 96 cells kept; 1 left out by their labels, 8 by the number")
    assert origin["sha256"] == [file_sha256(path)]
    for key in ("version", "listing", "left_out", "panel"):
        assert origin[key] and origin[key] in origin["recovered"]
    assert "perturbation = label, context = cell_type" in origin["recovered"]
    assert str(path.parent) not in origin["recovered"]


def test_values_that_are_no_counts_are_refused(put):
    made = hand_made.kang()
    made.X = made.X.astype(np.float32).log1p()
    put(made)
    with pytest.raises(
        InputError, match="X does not hold counts but '1.09861', .* and 1280 more.*layers/counts"
    ):
        data.load(NAME)


def test_a_gene_table_that_is_one_row_off_is_refused(put):
    made = hand_made.kang()
    made.var["ensembl_id"] = ["id gene_short_name", *(f"ENSG{i:011d}" for i in range(1, made.n_vars))]
    put(made)
    with pytest.raises(InputError, match=r"its own header \(gene_short_name\).*before version 1.4"):
        data.load(NAME)


def test_a_table_without_controls_is_refused(put):
    put(hand_made.kang(names=("stim",)))
    with pytest.raises(InputError, match="No cell is a control; perturbations are 'IFN-beta'"):
        data.load(NAME)


@pytest.mark.parametrize("broken", ["a web page", "half"])
def test_a_file_that_is_none_is_named(put, broken):
    path = put(hand_made.kang())
    whole = path.read_bytes()
    path.write_bytes(b"<html>" if broken == "a web page" else whole[: len(whole) // 2])
    with pytest.raises(InputError, match="kang_counts_25k.h5ad (is not|cannot be read as) "):
        data.load(NAME)
