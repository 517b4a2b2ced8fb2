"""Traps small enough to check by hand: swapped arguments of R2, ties in retrieval, and a gene that gives itself away."""

import numpy as np
import pandas as pd

from perturbook.evaluation.mean_profile import r2_mean, r2_mean_clipped, r2_mean_swapped_clipped
from perturbook.evaluation.retrieval import nir, pds, rank_pred

TRUTH = (0, 1, 2, 3)
PREDICTIONS = ((0, 0, 2, 4), (3, 2, 1, 0))


def swapped() -> pd.DataFrame:
    """Score two predictions of four genes by R2 in the right order, clipped, and with the arguments swapped.

    Returns:
        One row per prediction; the second is the truth reversed. Source: metrics.md section 3.1 and check 1.
    """
    truth, predicted = np.broadcast_to(TRUTH, (2, 4)), np.array(PREDICTIONS)
    return pd.DataFrame(
        {
            "measured": [str(TRUTH)] * 2,
            "predicted": [str(row) for row in PREDICTIONS],
            "R²": r2_mean(truth, predicted),
            "clipped": r2_mean_clipped(truth, predicted),
            "swapped": r2_mean(predicted, truth),
            "swapped and clipped": r2_mean_swapped_clipped(truth, predicted),
        }
    )


def ties(seed: int, sizes: tuple[int, ...] = (5, 20, 100), n_genes: int = 50) -> pd.DataFrame:
    """Score a predictor that is the same for every condition by three ways to count ties in retrieval.

    Args:
        seed: decides the truths, which do not matter.
        sizes: numbers of conditions N.
        n_genes: genes of a truth.

    Returns:
        Means over the N conditions, index N: 0.5, 1 and 0.5 + 1 / (2 N). Source: metrics.md section 4 and check 7.
    """
    rng, rows = np.random.default_rng(seed), []
    for n in sizes:
        truth, constant, one = rng.normal(size=(n, n_genes)), np.zeros((n, n_genes)), np.zeros(n)
        rows.append([f(truth, constant, one).mean() for f in (nir, rank_pred, pds)])
    return pd.DataFrame(rows, index=pd.Index(sizes, name="N"), columns=["nir", "rank_pred", "pds"])


def own_gene(seed: int, n: int = 20, n_genes: int = 200) -> pd.DataFrame:
    """Retrieve perturbations that switch one gene each, by what a predictor knows and which genes are compared.

    Every perturbation raises its own gene by 3 and moves the others by an effect of its own (standard deviation .2).

    Returns:
        Mean `pds`; rows what the predictor knows, columns the genes left out: none, the condition's own perturbed gene
        (as in the published score), or the perturbed genes of all conditions.

    Source: metrics.md section 4; the third column is our choice.
    """
    rng, own = np.random.default_rng(seed), np.arange(n)
    switched = np.zeros((n, n_genes))
    switched[own, own] = 3
    effect = rng.normal(0, 0.2, (n, n_genes))
    truth = effect + switched
    known = {
        "nothing": 0 * effect,
        "which gene is its own": switched,
        "the other genes, with noise of the same size": effect + rng.normal(0, 0.2, effect.shape),
    }
    left_out = {"none": None, "its own": own[:, None], "those of all conditions": np.tile(own, (n, 1))}
    rows = {
        name: {words: pds(truth, predicted, 0 * own, without=w).mean() for words, w in left_out.items()}
        for name, predicted in known.items()
    }
    return pd.DataFrame(rows).T.rename_axis("known to the predictor")
