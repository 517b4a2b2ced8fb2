"""Features of a gene, so that PerturbedVAE can be asked about a gene that was never perturbed: its likeness to those that were.

    k(g, h) = J(g, h) + c ,   code of g = k_g K^(-1/2) ,   k_g = (k(g, j))_j , K = (k(i, j))_ij over genes perturbed in training

J is the Jaccard similarity of GO biological processes and c a constant. There are as many features as training genes, and
the product of two codes of training genes is their k. Were no process shared and c zero, the code would be one-hot: likeness
replaces identity and nothing else changes. With a linear `f` whose weights are the smallest that fit, a new gene gets the
coefficients that kernel regression on k gives it: those of its likes, and c draws one that is like none to the mean of all.
Nothing of a gene that was not perturbed in training enters what is fitted.

Source: `perturbedvae.md` section 16.3 (features of GO); the similarity and the square root are our choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perturbook.data.gene_labels import genes_of
from perturbook.errors import NotApplicable
from perturbook.models.gene_terms import gene_terms, jaccard
from perturbook.models.perturbed_vae.codes import genes_seen, sums
from perturbook.models.protocol import Training

ALIKE = 0.1
"""c above: how much any two genes are alike before anything is known. Of 0, .1, .3, 1, 3 and 10 the best for the singles of
norman2019-mini's training cells, each left out and predicted by kernel regression from the others (our choice)."""
LEAST = 1e-6
"""Eigenvalue of K below which a direction is left out: genes with the same processes are one."""


@dataclass(frozen=True)
class GeneFeatures:
    """What stands for a gene where identifiers do not."""

    genes: list[str]
    """Genes of the training perturbations whose genes GO all knows, sorted: one feature each."""
    terms: Mapping[str, frozenset[str]]
    """GO processes of every gene that has some."""

    @classmethod
    def of(cls, train: Training) -> "GeneFeatures":
        """Fit to the perturbed genes of training; raises NotApplicable where GO knows none of them."""
        terms = gene_terms(train)
        names = train.cells.obs["perturbation"].astype(str).unique()
        known = genes_seen(name for name in names if set(genes_of(name)) <= set(terms))
        if not known:
            raise NotApplicable("no perturbed training gene is known to GO")
        return cls(known, terms)

    @cached_property
    def _root(self) -> np.ndarray:
        """`K^(-1/2)`, `(features, features)`."""
        values, vectors = np.linalg.eigh(np.array([self._alike(gene) for gene in self.genes]))
        kept = values > LEAST
        return vectors[:, kept] / np.sqrt(values[kept]) @ vectors[:, kept].T

    def _alike(self, gene: str) -> np.ndarray:
        return np.array([jaccard(self.terms[gene], self.terms[other]) for other in self.genes]) + ALIKE

    def vector(self, gene: str) -> np.ndarray | None:
        """Features `(features,)`; None for a gene unknown to GO."""
        return self._alike(gene) @ self._root if gene in self.terms else None

    def codes(self, perturbations: Sequence[str]) -> np.ndarray:
        """Code of each perturbation `(perturbations, features)`: the sum over its genes; NaN where GO does not know one."""
        return sums(perturbations, self.vector, len(self.genes))

    def blank(self, train: Training) -> list[str]:
        """Perturbations of training that have no code, sorted."""
        names = sorted(train.cells.obs["perturbation"].astype(str).unique())
        return [name for name in names if not set(genes_of(name)) <= set(self.genes)]

    def told(self, train: Training) -> Training:
        """Training without the cells of perturbations that have no code."""
        keep = ~train.cells.obs["perturbation"].astype(str).isin(self.blank(train)).to_numpy()
        return Training(train.cells[keep].copy(), train.valid)
