"""Five conditions of 40 measured and 40 generated cells and 80 controls, 60 genes, for checks against other packages."""

import os
from functools import cache

import anndata as ad
import numpy as np
import pandas as pd
import pytest

CONTROL = "control"
NAMES = ["G03", "G11", "G19", "G27", "G35"]  # each perturbs the gene of its name
GENES = [f"G{i:02d}" for i in range(60)]


def needed(package):
    """The package to check against: skipped where it is missing, but never where CI is set."""
    if os.environ.get("CI"):
        return __import__(package)
    return pytest.importorskip(package)


@cache
def cells():
    """(controls, {name: measured}, {name: generated}): log1p values, float64, `(cells, genes)`."""
    rng = np.random.default_rng(0)
    level = rng.uniform(0.3, 5, 60)

    def sample(n, change, spread):
        counts = rng.negative_binomial(2, 2 / (2 + level * np.exp(change)), size=(n, 60))
        return np.log1p(counts * rng.uniform(1 - spread, 1 + spread, (n, 1)))

    shared, measured, generated = rng.normal(0, 0.4, 60), {}, {}
    for name in NAMES:
        own = rng.normal(0, 0.7, 60) * (rng.uniform(size=60) < 0.5)
        own[GENES.index(name)] = 1.5
        measured[name] = sample(40, shared + own, 0.3)
        generated[name] = sample(40, shared + 0.6 * own + rng.normal(0, 0.3, 60), 0.2)
    return sample(80, 0, 0.3), measured, generated


def means(part):
    """Means of conditions in the order of NAMES, `(conditions, genes)`."""
    return np.stack([part[name].mean(axis=0) for name in NAMES])


def adata_of(part, controls):
    """An AnnData of the cells of all conditions and of `controls`; obs column perturbation."""
    labels = np.repeat([*NAMES, CONTROL], [*(len(part[name]) for name in NAMES), len(controls)])
    obs = pd.DataFrame({"perturbation": labels}, index=[f"cell{i}" for i in range(len(labels))])
    values = np.concatenate([*(part[name] for name in NAMES), controls])
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=GENES))
