"""A map of cells: PCA, neighbours and UMAP of a seeded sample, small enough for a page."""

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.schema import expression
from perturbook.pages.card_tables import groups

N_COMPONENTS, N_NEIGHBOURS, N_EPOCHS = (
    30,
    15,
    200,
)  # our choice; 15 is the default of scanpy, 200 that of large sets


def cell_map(adata: AnnData, seed: int, shown: int) -> pd.DataFrame:
    """Place up to `shown` cells in two dimensions.

    The cells are drawn by the seed from the sorted names, so that the row order of the file does not matter.

    Args:
        adata: canonical cells, `(cells, genes)`.
        seed: seed of the draw, the PCA and the UMAP.
        shown: cells at most.

    Returns:
        One row per cell: context, group, n_counts (counts per cell), x, y (no unit, three decimals). No names and no
        expression.

    Source: steps, Wolf et al., Genome Biology 19:15 (2018); their numbers, our choice.
    """
    import scanpy as sc

    names = np.sort(adata.obs_names.to_numpy(str))
    drawn = np.sort(np.random.default_rng(seed).permutation(names)[:shown])
    obs, rows = adata.obs.loc[drawn], adata.obs_names.get_indexer(drawn)
    cells = AnnData(expression(adata)[rows].copy(), obs=pd.DataFrame(index=obs.index))
    most = min(cells.shape) - 1
    sc.pp.pca(cells, n_comps=min(N_COMPONENTS, most), random_state=seed)
    # Gaussian weights of the neighbour graph: those of UMAP itself would be compiled anew for every page
    sc.pp.neighbors(cells, n_neighbors=min(N_NEIGHBOURS, most), method="gauss", random_state=seed)
    sc.settings.verbosity = 0  # it would warn of the weights on every page
    sc.tl.umap(cells, random_state=seed, maxiter=N_EPOCHS)
    place = cells.obsm["X_umap"].round(3)
    return pd.DataFrame(
        {
            "context": obs["context"].astype(str).to_numpy(),
            "group": groups(obs).astype(str).to_numpy(),
            "n_counts": obs["n_counts"].to_numpy(),
            "x": place[:, 0],
            "y": place[:, 1],
        }
    )
