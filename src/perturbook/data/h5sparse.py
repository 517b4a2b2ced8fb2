"""Read the file layout that anndata wrote before 2019 (`h5sparse_format`): obs and var as records, X as a CSR group.

anndata still opens it, with a warning per file; read directly there is nothing to silence.
"""

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp


def read_csr(group: h5py.Group) -> sp.csr_matrix:
    """The CSR matrix of one group, float32, indices sorted."""
    parts = (group["data"][:], group["indices"][:], group["indptr"][:])
    matrix = sp.csr_matrix(parts, shape=tuple(group.attrs["h5sparse_shape"]), dtype=np.float32)
    matrix.sort_indices()
    return matrix


def read_table(file: h5py.File, key: str) -> pd.DataFrame:
    """The record array `key` as a table; categories, kept under `uns/<column>_categories`, become text."""
    records = file[key][:]
    table = pd.DataFrame(index=pd.Index(records["index"].astype(str), dtype=object))
    for column in records.dtype.names[1:]:
        stored = f"uns/{column}_categories"
        table[column] = file[stored][:].astype(str)[records[column]] if stored in file else records[column]
    return table
