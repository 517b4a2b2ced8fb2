"""Every number of the Kang 2018 extract that its specification states."""

import numpy as np
import pandas as pd
import pytest

from perturbook.data import fetch, load, pseudobulk
from perturbook.data.h5sparse import read_csr, read_table

TYPES = ["CD4T", "FCGR3A+Mono", "CD14+Mono", "B", "NK", "CD8T", "Dendritic"]


def r2(truth, prediction):
    return 1 - ((truth - prediction) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


def test_cells_genes_and_the_whole_table_of_types(kang):
    assert kang.shape == (1975, 6998)
    table = pd.crosstab(kang.obs["perturbation"], kang.obs["context"])[TYPES]
    assert table.loc["control"].tolist() == [278, 132, 238, 110, 54, 69, 55]
    assert table.loc["IFN-beta"].tolist() == [356, 289, 83, 112, 87, 53, 59]
    assert table.sum(axis=1).to_dict() == {"control": 936, "IFN-beta": 1039}


def test_labels_follow_the_schema(kang):
    assert list(kang.obs["kind"].cat.categories) == ["cytokine"]
    assert kang.obs["cell_type"].astype(str).equals(kang.obs["context"].astype(str))
    assert (kang.obs.loc[kang.obs["is_control"], "dose_um"] == 0).all()
    assert kang.obs.loc[~kang.obs["is_control"], "dose_um"].isna().all()
    assert kang.uns["value_kind"] == "counts_recovered"
    assert "donor" not in kang.obs and "no donor" in kang.uns["origin"]["recovered"]


def test_recovered_counts_are_exact(kang):
    per_cell = np.asarray(kang.X.sum(axis=1, dtype=float)).ravel()
    assert per_cell.sum() == 2_156_428 and kang.X.max() == 2407
    assert (per_cell.min(), np.median(per_cell), per_cell.max()) == (345, 864, 4987)
    depth = kang.obs["n_counts"]
    assert (depth.min(), depth.median(), depth.max()) == (788, 1855, 7559)
    assert (np.asarray(kang.X.sum(axis=0)).ravel() == 0).sum() == 451


def test_counts_give_back_the_origin(kang):
    import h5py

    (path,) = fetch("kang2018-mini")
    with h5py.File(path) as file:
        stored, cells = read_csr(file["X"]), read_table(file, "obs")
    assert list(cells.index) == list(kang.obs_names)
    assert stored.max() == pytest.approx(6.7652, abs=1e-4)
    np.testing.assert_array_equal(stored.indices, kang.X.indices)
    depth = np.repeat(kang.obs["n_counts"].to_numpy(), np.diff(kang.X.indptr))
    again = np.log1p(kang.X.data.astype(float) * 1832.5 / depth)
    np.testing.assert_allclose(again, stored.data, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("gene", "control", "stimulated"),
    [
        ("ISG15", 0.943, 56.96),
        ("IFI6", 0.348, 6.22),
        ("IFIT1", 0.061, 6.35),
        ("ISG20", 0.821, 13.20),
        ("IFIT3", 0.109, 7.03),
        ("CXCL10", 0.376, 29.33),
    ],
)
def test_interferon_genes_rise(kang, gene, control, stimulated):
    counts = kang[:, gene].X.toarray().ravel()
    at_rest = kang.obs["is_control"].to_numpy()
    assert counts[at_rest].mean() == pytest.approx(control, abs=2e-3)
    assert counts[~at_rest].mean() == pytest.approx(stimulated, abs=5e-3)  # stated with two decimals


@pytest.mark.parametrize(
    ("held_out", "no_change", "mean_delta", "pearson"),
    [
        ("CD4T", 0.829, 0.889, 0.803),
        ("CD14+Mono", 0.629, 0.875, 0.855),
        ("B", 0.780, 0.895, 0.787),
        ("CD8T", 0.774, 0.852, 0.717),
        ("NK", 0.761, 0.854, 0.716),
        ("FCGR3A+Mono", 0.685, 0.915, 0.882),
        ("Dendritic", 0.676, 0.912, 0.879),
    ],
)
def test_floors_per_held_out_type(kang, held_out, no_change, mean_delta, pearson):
    profiles = pseudobulk(kang)
    mean = {
        (row.context, row.is_control): one
        for row, one in zip(profiles.obs.itertuples(), profiles.mean, strict=True)
    }
    control, truth = mean[held_out, True], mean[held_out, False]
    delta = np.mean([mean[other, False] - mean[other, True] for other in TYPES if other != held_out], axis=0)
    assert r2(truth, control) == pytest.approx(no_change, abs=2e-3)
    assert r2(truth, control + delta) == pytest.approx(mean_delta, abs=2e-3)
    assert np.corrcoef(truth - control, delta)[0, 1] == pytest.approx(pearson, abs=2e-3)


def test_preparing_again_from_another_folder_gives_the_same_object(kang, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    again = load("kang2018-mini")
    pd.testing.assert_frame_equal(again.obs, kang.obs)
    assert list(again.var_names) == list(kang.var_names)
    for one, other in ((again.X, kang.X), (again.layers["lognorm"], kang.layers["lognorm"])):
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    assert list(tmp_path.iterdir()) == []


def test_the_prepared_object_can_be_written_and_read(kang, tmp_path):
    kang.copy().write_h5ad(tmp_path / "kang.h5ad")
    again = load(tmp_path / "kang.h5ad")
    assert (again.X != kang.X).nnz == 0 and again.uns["origin"]["name"] == "kang2018-mini"
