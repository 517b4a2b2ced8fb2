"""The canonical AnnData of this book: its names, its one condition key, and its one normalisation.

Source: `datasets.md` section 1.
"""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.dataset import DATASETS, Dataset

CONTROL = "control"
CATEGORIES = ("dataset", "context", "perturbation", "kind")
FLOATS = ("dose_um", "n_counts")
COLUMNS = (*CATEGORIES, "dose_um", "is_control", "n_counts")
KINDS = ("drug", "CRISPRa", "CRISPRi", "cytokine", "none")
GENETIC = ("CRISPRa", "CRISPRi")
COUNT_KINDS = ("counts", "counts_recovered", "counts_recovered_unverified")
VALUE_KINDS = (*COUNT_KINDS, "lognorm", "log_intensity")
"""What `X` holds. `lognorm` is our addition: an origin that keeps only log-normalised values, so that `X` repeats
`layers["lognorm"]` and a model that needs counts must refuse it."""
LOGNORM = "lognorm"
DEPTH = 1e4
"""Counts per cell after normalisation."""


def condition_key(context: str, perturbation: str, dose_um: float) -> str:
    """The one string that names a condition, such as `A549|Vorinostat|10`; never parsed back.

    The dose (micromolar, six significant digits) is left out where it is NaN, that is, where dose has no meaning.
    """
    parts = [str(context), str(perturbation)]
    if not np.isnan(dose_um):
        parts.append(f"{dose_um:g}")
    return "|".join(parts)


def condition_keys(obs: pd.DataFrame) -> np.ndarray:
    """The condition key of every row of `obs` (cells,), made once per distinct condition."""
    triples = obs[["context", "perturbation", "dose_um"]].astype({"context": str, "perturbation": str})
    codes = triples.groupby(list(triples), dropna=False, sort=False).ngroup().to_numpy()
    _, first = np.unique(codes, return_index=True)
    keys = [condition_key(*row) for row in triples.iloc[first].itertuples(index=False)]
    return np.array(keys, dtype=object)[codes]


def normalise(counts: sp.csr_matrix, n_counts: np.ndarray) -> sp.csr_matrix:
    """log1p(1e4 * counts / n_counts) of `counts` (cells, genes), CSR float32; computed in float64, zeros stay zeros."""
    per_entry = np.repeat(np.asarray(n_counts, dtype=float), np.diff(counts.indptr))
    data = np.log1p(DEPTH * counts.data.astype(float) / per_entry).astype(np.float32)
    return sp.csr_matrix((data, counts.indices.copy(), counts.indptr.copy()), shape=counts.shape)


def expression(adata: AnnData):
    """The values that means, distances and scores use (cells, genes): `lognorm`, or `X` of a log-intensity data set."""
    return adata.layers[LOGNORM] if LOGNORM in adata.layers else adata.X


def origin(name: str, recovered: str) -> dict:
    """What every page prints about a data set: title, addresses, checksums, licences, and what was recovered.

    A name that is not in the registry is a reader's own file, of which only the name is known here.
    """
    entry = DATASETS.get(name) or Dataset(name, f"The reader's own file {name}", prepare=lambda: None)
    return {
        "name": name,
        "title": entry.title,
        "url": [file.url for file in entry.files],
        "sha256": [file.sha256 for file in entry.files],
        "licence": [file.licence for file in entry.files],
        "recovered": recovered,
    }


def assemble(
    name: str,
    x,
    obs: pd.DataFrame,
    genes,
    *,
    value_kind: str,
    recovered: str,
    lognorm=None,
    perturbations: pd.DataFrame | None = None,
) -> AnnData:
    """Put a prepared data set into the canonical schema.

    Args:
        name: registry name, whose entry supplies `uns["origin"]`, or what a reader's own file is called.
        x: values (cells, genes), counts unless `value_kind` says otherwise.
        obs: cell names as index; `context perturbation kind dose_um n_counts` and optional columns.
        genes: gene symbols (genes,), in the order of the origin.
        value_kind: one of `VALUE_KINDS`.
        recovered: one sentence on what the values are and how they were obtained, printed on every page.
        lognorm: log-normalised values (cells, genes); computed from counts where None.
        perturbations: the table of `uns["perturbations"]`; its index only where None.

    Source: `datasets.md` section 1; the argument list is our choice.
    """
    obs = obs.assign(dataset=name, is_control=(obs["perturbation"].astype(str) == CONTROL).to_numpy())
    obs = obs.astype({column: str for column in CATEGORIES} | {column: float for column in FLOATS})
    for column in obs.columns.difference([*FLOATS, "is_control"]):
        if not pd.api.types.is_numeric_dtype(obs[column]):
            obs[column] = pd.Categorical(obs[column].astype(str))  # sorts the categories
    obs = obs[[*COLUMNS, *(column for column in obs.columns if column not in COLUMNS)]]
    if sp.issparse(x):
        x = sp.csr_matrix(x, dtype=np.float32)
        x.sort_indices()
    if lognorm is None and value_kind in COUNT_KINDS:
        lognorm = normalise(x, obs["n_counts"].to_numpy())
    if perturbations is None:
        perturbations = pd.DataFrame(index=pd.Index(obs["perturbation"].cat.categories, name="perturbation"))
    return AnnData(
        X=x,
        obs=obs,
        var=pd.DataFrame(index=pd.Index(genes, dtype=object)),
        layers={} if lognorm is None else {LOGNORM: lognorm},
        uns={"value_kind": value_kind, "perturbations": perturbations, "origin": origin(name, recovered)},
    )
