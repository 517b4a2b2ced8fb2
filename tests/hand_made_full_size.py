"""Small files in the layouts of the large public ones: every column as they have it, few cells, counts of our own."""

import shutil

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.dataset import DATASETS
from perturbook.data.trust import forget_checksums

GENES = [*(f"GENE{i}" for i in range(40)), "KLF1", "CEBPE", "TWICE", "TWICE"]
LINES, DRUGS = (
    ("A549", "K562", "MCF7"),
    ("Belinostat (PXD101)", "(+)-JQ1", "ENMD-2076", "ENMD-2076 L-(+)-Tartaric acid "),
)


def counts(n_cells, seed=0):
    """Counts (cells, genes), CSR int64: of each gene another mean, and every cell its own depth."""
    rng = np.random.default_rng(seed)
    mean = rng.gamma(1.0, 1.5, len(GENES)) * rng.uniform(0.5, 2, (n_cells, 1))
    return sp.csr_matrix(
        rng.poisson(rng.gamma(2.0, mean / 2)) + np.eye(n_cells, len(GENES), dtype=np.int64)[::-1]
    )


def cells(rows, columns, x=None):
    """An AnnData of `rows` under `columns`, text as categories, with counts in X."""
    obs = pd.DataFrame(rows, columns=columns)
    obs.index = [f"cell{i:04d}" for i in range(len(obs))]
    for column in obs.select_dtypes(object):
        obs[column] = obs[column].astype("category")
    return AnnData(X=counts(len(obs)) if x is None else x, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


def sciplex_rows(n=4, controls=12, late=3):
    """(line, compound or "control", nM, hours, plate) of a small sci-Plex 3."""
    rows = [(line, "control", 0.0, 24, f"plate{i % 2}") for line in LINES for i in range(controls)]
    rows += [
        (line, drug, dose, 24, f"plate{i % 2}")
        for line in LINES
        for drug in DRUGS
        for dose in (10.0, 100.0, 1000.0, 10000.0)
        for i in range(n)
    ]
    late_rows = [("A549", "control", 0.0, 72, "plate9")] * late
    return rows + late_rows + [("A549", DRUGS[0], 10.0, 72, "plate9")] * late


def sciplex_scperturb(**given):
    """As scPerturb has it."""
    made = cells(sciplex_rows(**given), ["cell_line", "perturbation", "dose_value", "time", "plate"])
    made.obs["dose_unit"] = pd.Categorical(["nM"] * made.n_obs)
    made.obs["time"] = made.obs["time"].astype(float)
    made.obs["ncounts"] = np.asarray(made.X.sum(axis=1)).ravel().astype(float)
    return made


def sciplex_chemcpa(**given):
    """The same cells as chemCPA has them: short names, "Vehicle", no time, log-normalised X and a layer of counts."""
    from perturbook.data.sciplex3 import drug_name

    made = sciplex_scperturb(**given)
    made = made[made.obs["time"] == 24].copy()
    short = [drug_name(one) for one in made.obs["perturbation"].astype(str)]
    obs = pd.DataFrame(
        {"cell_type": made.obs["cell_line"], "condition": short, "dose": made.obs["dose_value"]}
    )
    obs["product_name"] = [
        "Vehicle" if one == "control" else one for one in made.obs["perturbation"].astype(str)
    ]
    obs["cov_drug"] = obs["cell_type"].astype(str) + "_" + obs["condition"]
    obs["plate"] = made.obs["plate"]
    obs.loc[obs["condition"] == "control", "dose"] = 1.0  # normalised dose of the vehicle
    made.obs = obs.astype({"condition": "category", "product_name": "category", "cov_drug": "category"})
    made.layers["counts"] = made.X.copy()
    made.X = made.X.astype(np.float32).log1p()
    return made


def norman(spell, column="perturbation", n=6):
    """A small Norman 2019: control, KLF1, CEBPE and the pairs KLF1 with CEBPE and with SET, which is never alone.

    `spell` gives the labels of control, KLF1, CEBPE and the two pairs in a convention.
    """
    numbers = (0, 1, 1, 2, 2)
    rows = [
        (label, i % 2, k) for label, k in zip(spell, numbers, strict=True) for i in range(n if k else 5 * n)
    ]
    return cells(rows, [column, "gemgroup", "nperts"])


def kang(names=("ctrl", "stim"), columns=("label", "cell_type", "replicate"), n=8):
    """A small Kang 2018: two types, three donors."""
    types, donors = ("B cells", "NK cells"), (101, 1015, 1016)
    rows = [(name, t, donor) for name in names for t in types for donor in donors for _ in range(n)]
    return cells(rows, list(columns))


def writer(tmp_path, monkeypatch, name):
    """Set an offline folder and an empty cache; the function returned writes an AnnData as the file of entry `name`."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("PERTURBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PERTURBOOK_MIRROR", str(mirror))

    def write(adata, trusted_anew=True):
        path = mirror / DATASETS[name].files[0].name
        adata.write_h5ad(path)
        if trusted_anew:
            shutil.rmtree(tmp_path / "cache" / "pins", ignore_errors=True)
        forget_checksums()  # written twice within the resolution of a time stamp
        return path

    return write
