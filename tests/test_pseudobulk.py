"""Means and variances per condition, against hand-computed values and a plain dense computation."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data import blocks, pseudobulk


def two_conditions():
    """Line L: one control cell (2, 0); drug D at 10 uM in three cells (0, 1), (3, 1), (6, 4)."""
    obs = pd.DataFrame(
        {
            "context": "L",
            "perturbation": ["D", "control", "D", "D"],
            "dose_um": [10.0, 0.0, 10.0, 10.0],
            "is_control": [False, True, False, False],
        },
        index=["b", "a", "c", "d"],
    )
    values = sp.csr_matrix(np.array([[0, 1], [2, 0], [3, 1], [6, 4]], dtype=np.float32))
    return AnnData(X=values, obs=obs, var=pd.DataFrame(index=["G1", "G2"]), layers={"lognorm": values.copy()})


def test_means_and_unbiased_variances_by_hand():
    profiles = pseudobulk(two_conditions())
    assert list(profiles.obs.index) == ["L|D|10", "L|control|0"]
    assert profiles.obs["n_cells"].tolist() == [3, 1] and profiles.obs["is_control"].tolist() == [False, True]
    np.testing.assert_array_equal(profiles.mean, [[3, 2], [2, 0]])
    np.testing.assert_array_equal(profiles.variance[0], [9, 3])  # 18 / 2 and 6 / 2
    assert list(profiles.genes) == ["G1", "G2"]
    assert profiles.mean.dtype == profiles.variance.dtype == np.float64


def test_the_variance_of_one_cell_is_undefined():
    assert np.isnan(pseudobulk(two_conditions()).variance[1]).all()


def test_equals_a_dense_computation(screen):
    profiles = pseudobulk(screen)
    assert len(profiles.obs) == 10
    for row, (_, condition) in enumerate(profiles.obs.iterrows()):
        chosen = (
            (screen.obs["context"] == condition["context"])
            & (screen.obs["perturbation"] == condition["perturbation"])
            & (screen.obs["dose_um"] == condition["dose_um"])
        ).to_numpy()
        cells = screen.layers["lognorm"][chosen].toarray().astype(float)
        assert condition["n_cells"] == len(cells)
        np.testing.assert_allclose(profiles.mean[row], cells.mean(axis=0), rtol=1e-13)
        np.testing.assert_allclose(profiles.variance[row], cells.var(axis=0, ddof=1), rtol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_row_order_does_not_change_a_bit(screen, seed):
    order = np.random.default_rng(seed).permutation(screen.n_obs)
    one, other = pseudobulk(screen), pseudobulk(screen[order].copy())
    pd.testing.assert_frame_equal(one.obs, other.obs)
    assert one.mean.tobytes() == other.mean.tobytes()
    assert one.variance.tobytes() == other.variance.tobytes()


def test_dense_and_sparse_values_agree(screen):
    dense = screen.copy()
    dense.layers["lognorm"] = dense.layers["lognorm"].toarray()
    np.testing.assert_array_equal(pseudobulk(dense).mean, pseudobulk(screen).mean)
    np.testing.assert_array_equal(pseudobulk(dense).variance, pseudobulk(screen).variance)


def test_cells_are_never_made_dense(screen, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise AssertionError("cells were made dense")

    for name in ("toarray", "todense"):
        monkeypatch.setattr(sp.csr_matrix, name, refuse)
    pseudobulk(screen)


@pytest.mark.parametrize("rows", [1, 7, 99, 100])
def test_the_size_of_the_blocks_does_not_change_a_bit(screen, monkeypatch, rows):
    whole = pseudobulk(screen)
    monkeypatch.setattr(blocks.row_blocks, "__defaults__", (rows,))
    in_blocks = pseudobulk(screen)
    assert in_blocks.mean.tobytes() == whole.mean.tobytes()
    assert in_blocks.variance.tobytes() == whole.variance.tobytes()


def test_without_lognorm_the_values_of_x_are_used(screen):
    """A log-intensity data set has no counts and no lognorm."""
    screen.X = screen.layers.pop("lognorm").toarray() + np.float32(1)
    profiles = pseudobulk(screen)
    expected = screen.X[screen.obs["is_control"].to_numpy()][:10].mean(axis=0, dtype=float)
    np.testing.assert_allclose(
        profiles.mean[list(profiles.obs.index).index("A549|control|0")], expected, rtol=1e-12
    )
