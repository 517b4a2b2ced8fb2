"""Codes of perturbations: a vector per perturbed gene, their sum for a pair, zeros for control.

By default a code names genes and nothing else: one-hot for a gene, two-hot for a pair. Source: `perturbedvae.md` section 1;
that control is all zeros is our choice.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from perturbook.data.gene_labels import genes_of


def genes_seen(perturbations: Iterable[str]) -> list[str]:
    """Perturbed genes, sorted, each once."""
    return sorted({gene for name in perturbations for gene in genes_of(str(name))})


def codes(perturbations: Sequence[str], genes: Sequence[str]) -> np.ndarray:
    """Code of each perturbation `(perturbations, genes)`, float32; a row of NaN where one of its genes is not in `genes`.

    A column of such a gene was never trained, so that nothing can be said of it.
    """
    return sums(perturbations, dict(zip(genes, np.eye(len(genes)), strict=True)).get, len(genes))


def sums(perturbations: Sequence[str], vector: Callable[[str], np.ndarray | None], width: int) -> np.ndarray:
    """Sum of the vectors of the genes of each perturbation `(perturbations, width)`, float32; NaN where a gene has none."""
    made = np.zeros((len(perturbations), width), np.float32)
    for row, name in zip(made, perturbations, strict=True):
        parts = [vector(gene) for gene in sorted(set(genes_of(str(name))))]
        row[:] = np.nan if any(part is None for part in parts) else np.sum(parts, axis=0)
    return made
