"""`pca`: principal components of the highly variable genes, the baseline of every atlas.

Source: scanpy's tutorials for the recipe (2,000 genes, 50 components, no scaling of genes); scikit-learn for the components.
"""

import hashlib
from functools import cached_property

import numpy as np
from anndata import AnnData

from perturbook.errors import ConfigError, InputError
from perturbook.models.backbones.backbone import recipe
from perturbook.models.backbones.hvg import N_TOP, HighlyVariableGenes

N_COMPONENTS = 50


class PCAOnHighlyVariableGenes:
    """Centred log1p of counts per 10,000 of the genes that vary most, on the axes of most variance of the cells fitted on.

    The components are eigenvectors of the covariance of the genes, in float64; scikit-learn fixes their signs. Nothing is
    drawn and nothing approximated.
    """

    name, title, key = "pca", "PCA", "X_pca"

    def __init__(self, cells: AnnData, n_components: int = N_COMPONENTS, n_top: int = N_TOP):
        """Fit.

        Args:
            cells: counts, or logarithms declared as such, `(cells, genes)` in memory; see `log_expression`.
            n_components: axes to keep; as many as there are where genes or cells are fewer.
            n_top: genes to keep before.

        Raises:
            ConfigError: a number is below 1.
            InputError: fewer than two cells, or values that are neither counts nor declared logarithms.
        """
        if n_components < 1:
            raise ConfigError(f"n_components is {n_components}; at least one must be kept.")
        if cells.n_obs < 2:
            raise InputError(f"PCA needs at least two cells; there are {cells.n_obs}.")
        from sklearn.decomposition import PCA

        self.variable = HighlyVariableGenes(cells, n_top)
        self.genes = self.variable.genes
        values = self.variable.encode(cells)
        n_components = min(n_components, cells.n_obs - 1, self.variable.width)
        fitted = PCA(n_components, svd_solver="covariance_eigh").fit(values.astype(float))
        self.mean, self.components = fitted.mean_, fitted.components_
        self.explained = fitted.explained_variance_ratio_
        """Share of the variance of the kept genes on each axis, `(width,)`."""

    @property
    def width(self) -> int:
        """Number of components."""
        return len(self.components)

    @cached_property
    def identity(self) -> str:
        """sha256 over genes, means and components."""
        parts = [self.variable.identity.encode(), self.mean.tobytes(), self.components.tobytes()]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def encode(self, cells: AnnData) -> np.ndarray:
        """Coordinates `(cells, width)` float32, summed in float64; raises InputError for values of another kind."""
        centred = self.variable.encode(cells).astype(float) - self.mean
        return (centred @ self.components.T).astype(np.float32)


@recipe("pca", title=PCAOnHighlyVariableGenes.title, fitted=True)
def pca(
    cells: AnnData, seed: int = 0, *, n_components: int = N_COMPONENTS, n_top: int = N_TOP
) -> PCAOnHighlyVariableGenes:
    """Fit on `cells`; nothing is drawn, so that `seed` changes nothing."""
    return PCAOnHighlyVariableGenes(cells, n_components, n_top)
