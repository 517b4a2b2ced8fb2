"""`pca_ridge`: a bilinear map from features of the perturbed genes to components of the effect."""

import numpy as np

from perturbook.data.gene_labels import genes_of
from perturbook.errors import NotApplicable
from perturbook.models.gene_terms import GO, gene_terms, membership
from perturbook.models.protocol import Prediction, Query, Training, model

N_COMPONENTS, PENALTY = 10, 0.1


@model("pca_ridge", title="Linear model of gene features", role="opponent")
class PcaRidge:
    """yhat = mu0 + b + G W p, W = (G'G + l I)^-1 G' (Y - b) P (P'P + l I)^-1, l = 0.1, ten components each.

    Y `(genes, conditions)` are the training effects and b their mean. G are the principal components of the genes in Y.
    p of a perturbed gene is its row of G where every perturbed training gene is measured, else its principal components
    among the training genes' GO biological processes; p of a double is the sum. Not defined for a gene without features.

    Source: metrics.md section 7, `pca_ridge` (Ahlmann-Eltze et al.); GO features and the sum are our choice.
    """

    needs = (GO,)

    def fit(self, train: Training) -> "PcaRidge":
        """Solve for W; raises NotApplicable with fewer than three training conditions that have features."""
        y = train.effects.to_numpy().T
        self.base = y.mean(axis=1)
        centred = y - y.mean(axis=0)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        self.g = u[:, :N_COMPONENTS] * s[:N_COMPONENTS]
        names = train.effects.index.get_level_values("perturbation")
        self._features_of(train, sorted({gene for name in names for gene in genes_of(name)}))
        p = [self._feature(name) for name in names]
        has = np.array([one is not None for one in p])
        if has.sum() < 3:
            raise NotApplicable("fewer than three training conditions have gene features")
        p = np.array([one for one in p if one is not None])
        left = self.g.T @ (y[:, has] - self.base[:, None]) @ p
        self.w = np.linalg.solve(_ridge(self.g), np.linalg.solve(_ridge(p), left.T).T)
        return self

    def _features_of(self, train: Training, genes: list[str]) -> None:
        """Say what describes a gene: `self.lookup` by symbol, `(components,)` each."""
        measured = dict(zip(train.effects.columns, self.g, strict=True))
        if set(genes) <= set(measured):
            self.lookup = measured.get
            return
        terms = gene_terms(train)
        known = [gene for gene in genes if gene in terms]
        if not known:
            raise NotApplicable("no perturbed training gene is measured or known to GO")
        names = sorted(set().union(*(terms[gene] for gene in known)))
        m = membership(known, terms, names)
        centre = m.mean(axis=0)
        axes = np.linalg.svd(m - centre, full_matrices=False)[2][:N_COMPONENTS]
        self.lookup = lambda gene: (
            (membership([gene], terms, names)[0] - centre) @ axes.T if gene in terms else None
        )

    def _feature(self, name: str) -> np.ndarray | None:
        parts = [self.lookup(gene) for gene in genes_of(name)]
        return None if any(part is None for part in parts) else np.sum(parts, axis=0)

    def predict(self, query: Query) -> Prediction:
        """Map each condition's features; raises NotApplicable where no condition has any."""
        shifts = np.full(query.mu0.shape, np.nan)
        for row, (name,) in enumerate(query.group("perturbation")):
            if (p := self._feature(name)) is not None:
                shifts[row] = self.base + self.g @ (self.w @ p)
        if np.isnan(shifts).all():
            raise NotApplicable("no gene asked about is measured or known to GO")
        return Prediction(query.mu0 + shifts)


def _ridge(x: np.ndarray) -> np.ndarray:
    return x.T @ x + PENALTY * np.eye(x.shape[1])
