"""Small screens made by hand, for tests of splits, audit and models."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData


def cells(rows, values=None, table=None):
    """Cells named c000, c001, ... of `rows` (context, perturbation, dose), with log-normalised `values` (cells, genes).

    Without values each cell has 25 genes of its own, so that no two cells are alike.
    """
    obs = pd.DataFrame(rows, columns=["context", "perturbation", "dose_um"])
    obs.index = [f"c{i:03d}" for i in range(len(obs))]
    obs["is_control"] = (obs["perturbation"] == "control").to_numpy()
    if values is None:
        values = np.random.default_rng(0).uniform(1, 2, size=(len(obs), 25))
    values = sp.csr_matrix(np.asarray(values, dtype=np.float32))
    names = sorted(set(obs["perturbation"]))
    return AnnData(
        X=values,
        obs=obs.astype({"context": "category", "perturbation": "category"}),
        var=pd.DataFrame(index=[f"G{i}" for i in range(values.shape[1])]),
        layers={"lognorm": values.copy()},
        uns={"perturbations": pd.DataFrame(index=names) if table is None else table},
    )


def grid(contexts, drugs, doses=(1.0, 10.0), n=3, controls=6):
    """Rows of a full screen: `n` cells per treated condition, `controls` control cells per context."""
    rows = [(c, "control", 0.0) for c in contexts for _ in range(controls)]
    return rows + [(c, d, q) for c in contexts for d in drugs for q in doses for _ in range(n)]


def keys14(groups):
    """A perturbation table in which the names of one group share a parent structure."""
    names = [name for group in groups for name in group]
    keys = [f"STRUCTURE{i:05d}" for i, group in enumerate(groups) for _ in group]
    return pd.DataFrame({"inchikey14": ["", *keys]}, index=["control", *names])
