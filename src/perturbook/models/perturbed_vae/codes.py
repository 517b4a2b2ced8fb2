"""Codes of perturbations: which genes are perturbed, and nothing else. One-hot for a gene, two-hot for a pair, zeros for control.

Source: `perturbedvae.md` section 1; that control is all zeros is our choice.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from perturbook.data.gene_labels import genes_of


def genes_seen(perturbations: Iterable[str]) -> list[str]:
    """Perturbed genes, sorted, each once."""
    return sorted({gene for name in perturbations for gene in genes_of(str(name))})


def codes(perturbations: Sequence[str], genes: Sequence[str]) -> np.ndarray:
    """Code of each perturbation `(perturbations, genes)`, float32; a row of NaN where one of its genes is not in `genes`.

    A column of such a gene was never trained, so that nothing can be said of it.
    """
    column = {gene: i for i, gene in enumerate(genes)}
    made = np.zeros((len(perturbations), len(genes)), np.float32)
    for row, name in zip(made, perturbations, strict=True):
        own = genes_of(str(name))
        if set(own) <= set(column):
            row[[column[gene] for gene in own]] = 1
        else:
            row[:] = np.nan
    return made
