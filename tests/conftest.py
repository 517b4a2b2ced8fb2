"""Fixtures shared by all tests: real cells where this machine has them, and one small hand-made screen."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import perturbook.data as data
from perturbook.data.schema import normalise
from perturbook.pages.table import page
from perturbook.threads import ENVIRONMENT

REFERENCES = Path(__file__).parent / "notebooks"


def pytest_configure():
    os.environ.update(ENVIRONMENT)  # reference notebooks run again as pages run


def pytest_collection_modifyitems(items):
    """Leave out the reference notebooks of pages whose data cannot be had, and say so."""
    for item in items:
        if item.path.parent == REFERENCES:
            name = page(item.path.stem).parameters_at("smoke").get("data", "")
            if name in data.DATASETS and not data.available(name):
                item.add_marker(pytest.mark.skip(reason=f"{name} is missing: `perturbook data fetch {name}`"))


def load_or_skip(name):
    if not data.available(name):
        pytest.skip(
            f"{name} is neither in the cache nor in PERTURBOOK_MIRROR; `perturbook data fetch {name}` gets it"
        )
    return data.load(name)


@pytest.fixture(scope="session")
def kang():
    """Real cells: 1,975 PBMC, control and IFN-beta. Shared by the session: copy before changing."""
    return load_or_skip("kang2018-mini")


@pytest.fixture
def screen():
    """A fresh canonical screen: lines A549, K562; drugs Metformin, Aspirin at 1 and 10 uM; 10 cells each; 30 genes."""
    rng = np.random.default_rng(0)
    rows = [
        (line, drug, dose)
        for line in ("A549", "K562")
        for drug, dose in (
            ("control", 0.0),
            ("Aspirin", 1.0),
            ("Aspirin", 10.0),
            ("Metformin", 1.0),
            ("Metformin", 10.0),
        )
        for _ in range(10)
    ]
    obs = pd.DataFrame(rows, columns=["context", "perturbation", "dose_um"])
    obs.index = [f"cell{i:03d}" for i in range(len(obs))]
    obs["dataset"], obs["kind"] = "hand-made", "drug"
    obs = obs.astype({column: "category" for column in ("dataset", "context", "perturbation", "kind")})
    obs["is_control"] = (obs["perturbation"] == "control").to_numpy()
    depth = rng.uniform(2, 6, size=(len(obs), 1))
    counts = sp.csr_matrix(rng.poisson(depth, size=(len(obs), 30)).astype(np.float32))
    obs["n_counts"] = np.asarray(counts.sum(axis=1), dtype=float).ravel() + 7
    table = pd.DataFrame(
        {"smiles": ["CC(=O)Oc1ccccc1C(=O)O", "CN(C)C(=N)NC(N)=N", ""]},
        index=pd.Index(["Aspirin", "Metformin", "control"], name="perturbation"),
    )
    return AnnData(
        X=counts,
        obs=obs,
        var=pd.DataFrame(index=[f"GENE{i}" for i in range(30)]),
        layers={"lognorm": normalise(counts, obs["n_counts"].to_numpy())},
        uns={"value_kind": "counts", "perturbations": table},
    )
