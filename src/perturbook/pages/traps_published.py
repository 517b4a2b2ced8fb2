"""Arithmetic on a published table: how much cell-to-cell variance stands behind an error of cells and one of means."""

import pandas as pd

TABLE = pd.DataFrame(
    {
        "Pearson of change": [0.9076, 0.4631, 0.6869],
        "RMSE of means": [0.0887, 0.1514, 0.1285],
        "RMSE over cells": [0.4424, 0.5861, 0.4494],
    },
    index=pd.Index(["additive", "GEARS", "PerturbedVAE"], name="predictor"),
)
"""Doubles from singles, 5,000 genes. Source: Jiang et al. 2026, Table 14 (perturbedvae.md section 10)."""


def implied(cell: float, mean: float, additive_cell: float, additive_mean: float) -> tuple[float, float]:
    """Solve both errors of a predictor for its variance ratio, given those of a predictor without variance.

    sigma^2 = (a^2 - b^2) / (1 - b^2) and ratio = (a'^2 - b'^2 (1 - sigma^2)) / sigma^2 - 1, with the relative errors
    a over cells and b of means of the additive predictor, a' and b' of the other.

    Args:
        cell: relative RMSE over cells, a'.
        mean: relative RMSE of means, b'.
        additive_cell: a.
        additive_mean: b.

    Returns:
        sigma^2, the share of the true cells' second moment that is variance, and the variance ratio; both are never
        clipped, so a ratio may come out slightly below 0. Exact for one condition and roughly so for averages.

    Source: metrics.md section 3.2 (inferred there).
    """
    sigma2 = (additive_cell**2 - additive_mean**2) / (1 - additive_mean**2)
    return sigma2, (cell**2 - mean**2 * (1 - sigma2)) / sigma2 - 1


def table() -> pd.DataFrame:
    """The published values with the variance ratio that they imply, if its errors are relative ones."""
    cell, mean = TABLE["RMSE over cells"], TABLE["RMSE of means"]
    return TABLE.assign(
        **{"implied variance ratio": implied(cell, mean, cell["additive"], mean["additive"])[1]}
    )
