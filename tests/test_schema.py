"""The condition key, the normalisation, and how a preparation is put together."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from perturbook.data import condition_key
from perturbook.data.dataset import DATASETS
from perturbook.data.schema import assemble, condition_keys, normalise
from perturbook.errors import ConfigError


@pytest.mark.parametrize(
    ("dose", "key"),
    [
        (10.0, "A549|Vorinostat|10"),
        (0.01, "A549|Vorinostat|0.01"),
        (0.0, "A549|Vorinostat|0"),
        (np.nan, "A549|Vorinostat"),
        (1e-7, "A549|Vorinostat|1e-07"),
    ],
)
def test_a_condition_key_is_context_perturbation_and_dose(dose, key):
    assert condition_key("A549", "Vorinostat", dose) == key


def test_keys_of_a_table_equal_the_key_of_each_row(screen):
    keys = condition_keys(screen.obs)
    rows = screen.obs[["context", "perturbation", "dose_um"]].itertuples(index=False)
    assert list(keys) == [condition_key(*row) for row in rows]


def test_keys_of_a_table_know_doses_without_meaning():
    obs = pd.DataFrame(
        {"context": ["B", "B", "B"], "perturbation": ["x", "control", "x"], "dose_um": [np.nan, 0.0, np.nan]}
    )
    assert list(condition_keys(obs)) == ["B|x", "B|control|0", "B|x"]


def test_normalisation_by_hand():
    counts = sp.csr_matrix(np.array([[1, 0], [3, 5]], dtype=np.float32))
    values = normalise(counts, np.array([10, 20_000.0]))
    np.testing.assert_allclose(values.toarray(), [[np.log(1001), 0], [np.log(2.5), np.log(3.5)]], rtol=1e-6)
    assert values.dtype == np.float32 and values.format == "csr" and values.nnz == 3
    assert counts.toarray().tolist() == [[1, 0], [3, 5]]


def test_assembled_cells_have_sorted_categories_and_canonical_types():
    obs = pd.DataFrame(
        {
            "context": ["b", "a"],
            "perturbation": ["z", "control"],
            "kind": "drug",
            "dose_um": [1, 0],
            "n_counts": [9, 9],
        },
        index=["c2", "c1"],
    )
    adata = assemble(
        "kang2018-mini",
        np.eye(2),
        obs.assign(cell_type="t"),
        ["G2", "G1"],
        value_kind="log_intensity",
        recovered="",
    )
    assert list(adata.obs["context"].cat.categories) == ["a", "b"]
    assert adata.obs["dose_um"].dtype == adata.obs["n_counts"].dtype == float
    assert adata.obs["is_control"].tolist() == [False, True]
    assert list(adata.obs_names) == ["c2", "c1"] and list(adata.var_names) == ["G2", "G1"]
    assert list(adata.obs.columns[-2:]) == ["n_counts", "cell_type"]
    assert list(adata.uns["perturbations"].index) == ["control", "z"]


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_every_entry_says_where_its_bytes_come_from(name):
    entry = DATASETS[name]
    assert entry.name == name and entry.title
    assert entry.synthetic == (not entry.files)
    for file in entry.files:
        assert len(file.sha256) in (0, 64) and file.size >= 0 and file.licence
        assert entry.full_size or (file.sha256 and file.size)
        assert file.url.startswith(("https://", "wheel:"))


def test_a_name_is_registered_once():
    with pytest.raises(ConfigError, match="'kang2018-mini' is registered twice"):
        DATASETS.add("kang2018-mini", DATASETS["kang2018-mini"])
