"""Every number of PBMC 3k that its specification states, and what happens when its two files do not fit."""

import numpy as np
import pandas as pd
import pytest
from conftest import load_or_skip

from perturbook.data import fetch, load, pbmc3k
from perturbook.data.rda import read_rda
from perturbook.errors import InputError


@pytest.fixture(scope="module")
def pbmc():
    return load_or_skip("pbmc3k")


@pytest.fixture(scope="module")
def meta(pbmc):
    return read_rda(fetch("pbmc3k")[1], "pbmc_meta", pd.DataFrame)


def test_cells_genes_and_labels(pbmc):
    assert pbmc.shape == (2638, 13714)
    assert pbmc.obs["context"].value_counts().to_dict() == {
        "Naive CD4 T": 697,
        "Memory CD4 T": 483,
        "CD14+ Mono": 480,
        "B": 344,
        "CD8 T": 271,
        "FCGR3A+ Mono": 162,
        "NK": 155,
        "DC": 32,
        "Platelet": 14,
    }
    assert pbmc.obs["context"].astype(str).equals(pbmc.obs["cell_type"].astype(str))


def test_every_cell_is_an_unperturbed_control(pbmc):
    assert pbmc.obs["is_control"].all() and set(pbmc.obs["kind"]) == {"none"}
    assert (pbmc.obs["dose_um"] == 0).all() and pbmc.uns["value_kind"] == "counts_recovered"


def test_counts_agree_with_the_two_totals_of_every_cell(pbmc, meta):
    assert list(meta.index) == list(pbmc.obs_names)
    total = np.asarray(pbmc.X.sum(axis=1, dtype=float)).ravel()
    np.testing.assert_array_equal(total, meta["nCount_RNA"])
    np.testing.assert_array_equal(total, pbmc.obs["n_counts"])
    np.testing.assert_array_equal(pbmc.X.getnnz(axis=1), meta["nFeature_RNA"])
    assert total.sum() == 6_254_880 and pbmc.X.max() == 419 and pbmc.X.nnz == 2_238_732
    assert (total.min(), np.median(total), total.max()) == (556, 2213, 8875)
    assert (pbmc.X.getnnz(axis=0) == 0).sum() == 1


def test_lognorm_is_the_origin_and_counts_give_it_back(pbmc):
    slots = read_rda(fetch("pbmc3k")[0], "pbmc_matrix", object)
    assert slots.Dim.tolist() == [13714, 2638]
    stored = pbmc.layers["lognorm"]
    np.testing.assert_array_equal(stored.indptr, slots.p)
    np.testing.assert_array_equal(stored.indices, slots.i)
    np.testing.assert_array_equal(stored.data, slots.x.astype(np.float32))
    exact = np.expm1(slots.x) * np.repeat(pbmc.obs["n_counts"] / 1e4, np.diff(slots.p)).to_numpy()
    # Stated as below 1e-12, which holds relative to the count.
    assert (np.abs(exact - pbmc.X.data) / pbmc.X.data).max() < 1e-12


@pytest.mark.parametrize(
    ("gene", "cell_type", "mean"),
    [
        ("MS4A1", "B", 2.20),
        ("NKG7", "NK", 23.84),
        ("NKG7", "CD8 T", 9.93),
        ("PPBP", "Platelet", 40.79),
        ("LYZ", "CD14+ Mono", 46.26),
        ("LYZ", "DC", 67.31),
        ("FCER1A", "DC", 7.59),
    ],
)
def test_markers_mark_their_types(pbmc, gene, cell_type, mean):
    counts = pbmc[pbmc.obs["context"] == cell_type, gene].X.mean()
    assert counts == pytest.approx(mean, abs=5e-3)  # stated with two decimals


def test_ms4a1_is_rare_outside_b_cells(pbmc):
    others = pbmc[pbmc.obs["context"] != "B", "MS4A1"]
    means = pd.Series(others.X.toarray().ravel(), others.obs_names).groupby(others.obs["context"].astype(str))
    assert means.mean().max() == pytest.approx(0.09, abs=5e-3)


def test_rows_in_another_order_are_refused(meta, monkeypatch):
    swapped = meta.iloc[[1, 0, *range(2, len(meta))]]

    def read(path, name, kind):
        return swapped if name == "pbmc_meta" else read_rda(path, name, kind)

    monkeypatch.setattr(pbmc3k, "read_rda", read)
    with pytest.raises(InputError, match="2,638 rows of .* are not the 2,638 columns .* in the same order"):
        pbmc3k.prepare(*fetch("pbmc3k"))


def test_preparing_again_gives_the_same_object(pbmc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    again = load("pbmc3k")
    pd.testing.assert_frame_equal(again.obs, pbmc.obs)
    assert list(again.var_names) == list(pbmc.var_names) and list(tmp_path.iterdir()) == []
    assert (again.X != pbmc.X).nnz == 0 and (again.layers["lognorm"] != pbmc.layers["lognorm"]).nnz == 0
