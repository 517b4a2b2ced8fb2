"""`knn_genes`: a gene nobody has perturbed does what its nearest perturbed genes did."""

import numpy as np

from perturbook.models.gene_terms import GO, gene_terms, jaccard
from perturbook.models.protocol import Training, model
from perturbook.models.single_effects import Genes, OfSingles


@model("knn_genes", title="Nearest genes (GO processes)", role="floor")
class NearestGenes(OfSingles):
    """yhat = mu0 + sum over the genes: a seen gene's own effect, else the mean effect of its `k` nearest training singles.

    Nearest by Jaccard similarity of GO biological processes, in the same context, ties by name. Not defined where every
    gene is seen (that is the additive floor) or where an unseen gene has no GO process.

    Source: metrics.md section 7, `knn` for genes; a sum over the genes of a double is our choice.
    """

    k = 5
    needs = (GO,)
    for_pairs = False
    missing = "no gene asked about is both unseen and known to GO"

    def fit(self, train: Training) -> "NearestGenes":
        """Keep the effects of singles and the processes of genes."""
        self.terms = gene_terms(train)
        return super().fit(train)

    def _shift(self, context: str, genes: Genes, dose: float) -> np.ndarray | None:
        parts = self._parts(context, genes)
        if all(part is not None for part in parts):
            return None
        filled = [
            self._nearest(context, gene) if part is None else part
            for gene, part in zip(genes, parts, strict=True)
        ]
        return None if any(part is None for part in filled) else np.sum(filled, axis=0)

    def _nearest(self, context: str, gene: str) -> np.ndarray | None:
        """Mean effect of the `k` training genes of the context nearest to `gene`, `(genes,)`."""
        known = self.singles.get(context, {})
        candidates = sorted(set(known) & set(self.terms))
        if gene not in self.terms or not candidates:
            return None
        nearest = sorted(candidates, key=lambda other: -jaccard(self.terms[gene], self.terms[other]))[
            : self.k
        ]
        return np.mean([known[other] for other in nearest], axis=0)
