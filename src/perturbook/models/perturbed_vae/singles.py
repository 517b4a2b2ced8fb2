"""Means of single perturbations, and their sum for a pair, told from the controls that a question shows.

A model that is fitted once is asked with more controls than it was fitted with. What is kept is therefore the mean of the
treated cells, and not its difference to the controls of training: the sum is then exact for whichever controls are shown.
"""

import numpy as np

from perturbook.data.gene_labels import genes_of
from perturbook.models.protocol import Query, Training

Singles = dict[tuple[str, str], np.ndarray]


def single_means(train: Training) -> Singles:
    """Mean of the cells of every single, `(genes,)`, by context and gene."""
    obs = train.profiles.obs
    names = zip(obs["context"].astype(str), obs["perturbation"].astype(str), strict=True)
    return {
        (context, name): row
        for (context, name), row in zip(names, train.profiles.mean, strict=True)
        if len(genes_of(name)) == 1
    }


def keys_of(query: Query) -> list[list[tuple[str, str]]]:
    """Context and gene of every gene of each condition."""
    asked = query.group("context", "perturbation")
    return [[(str(context), gene) for gene in genes_of(str(name))] for context, name in asked]


def summed(query: Query, singles: Singles) -> np.ndarray:
    """`mu0 + sum_g (y_g - mu0)` of each condition, `(conditions, genes)`; NaN where a gene has no single."""
    mean = np.full(query.mu0.shape, np.nan)
    for row, (keys, mu0) in enumerate(zip(keys_of(query), query.mu0, strict=True)):
        if all(key in singles for key in keys):
            mean[row] = mu0 + np.sum([singles[key] - mu0 for key in keys], axis=0)
    return mean
