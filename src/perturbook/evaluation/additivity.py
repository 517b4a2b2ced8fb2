"""How far two genes together are from the sum of what each does alone, and how far sampling alone would take them.

    d_ab = y_ab - y_a - y_b + mu0

Each of the four means comes from cells of its own, so that d has a sampling error even where the truth is exactly additive.
Source: `perturbedvae.md` section 16.1; the resampled null is our choice.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.gene_labels import genes_of
from perturbook.data.schema import CONTROL
from perturbook.errors import InputError
from perturbook.evaluation.measure import Cells
from perturbook.evaluation.truth import rng_of

DRAWS = 400
"""Resamples of the cells of each group. Our choice."""
BEYOND = 1.96
"""Standard errors beyond which one gene in twenty lies by chance."""


def deviation(double: np.ndarray, first: np.ndarray, second: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Change of a double minus the changes of its two singles, from means of any equal shape, log1p of counts per 10k."""
    return (double - control) - (first - control) - (second - control)


@dataclass(frozen=True)
class Additivity:
    """Deviations of doubles from the sum, and what their cells say of the noise in them; rows as `conditions`."""

    conditions: pd.DataFrame
    """Index condition key; context, perturbation."""
    deviation: np.ndarray
    """`(doubles, genes)`; NaN where a single or the controls are not there."""
    own: np.ndarray
    """Sampling variance of the double's own mean, `(doubles, genes)`."""
    noise: np.ndarray
    """Sampling variance of the deviation, the double's own included, `(doubles, genes)`."""
    null: np.ndarray
    """Size (root mean square over genes) of deviations that resampling alone makes, `(doubles, draws)`."""

    def table(self) -> pd.DataFrame:
        """One row per double, index as `conditions`.

        Returns:
            size: root mean square of the deviation over genes. expected: the same of its noise. low, high: the middle 95 %
            of `null`. stands_out: size above high. beyond: share of the squared deviation that is not noise, negative where
            it is smaller than its noise. own: root mean square of the double's own noise. genes: share of genes whose
            deviation is beyond `BEYOND` standard errors, of those that have one.
        """
        size, expected, own = (_rms(one) for one in (self.deviation, np.sqrt(self.noise), np.sqrt(self.own)))
        low, high = np.nanpercentile(self.null, [2.5, 97.5], axis=1)
        varies = self.noise > 0
        far = (np.abs(self.deviation) > BEYOND * np.sqrt(self.noise)) & varies
        return self.conditions.assign(
            size=size,
            expected=expected,
            low=low,
            high=high,
            stands_out=size > high,
            beyond=1 - (expected / size) ** 2,
            own=own,
            genes=far.sum(axis=1) / np.maximum(varies.sum(axis=1), 1),
        )


def additivity(cells: AnnData, conditions: pd.DataFrame, *, draws: int = DRAWS, seed: int = 0) -> Additivity:
    """Measure the deviation of doubles from the sum, and resample the cells of all four groups about their own means.

    Args:
        cells: canonical AnnData `(cells, genes)`: the doubles, all their singles, and controls of the same context.
        conditions: doubles; index condition key, columns context and perturbation.
        draws: resamples.
        seed: decides the resamples; the result does not depend on the order of rows.

    Raises:
        InputError: a double, one of its singles or its controls has fewer than two cells, or a condition is no double.
    """
    of, read = _Groups(cells), Cells(cells)

    @cache
    def group(context: str, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values = read(of(context, name))
        n = len(values)
        variance = values.var(axis=0, ddof=1) / n
        weights = rng_of(seed, f"{context}|{name}").multinomial(n, np.full(n, 1 / n), size=draws) / n
        moved = (weights - 1 / n).astype(np.float32) @ values.astype(np.float32)
        return values.mean(axis=0), variance, moved * np.float32(np.sqrt(n / (n - 1)))

    made: dict[str, list[np.ndarray]] = {"deviation": [], "own": [], "noise": [], "null": []}
    for context, name in conditions[["context", "perturbation"]].astype(str).itertuples(index=False):
        if len(genes := genes_of(name)) != 2:
            raise InputError(f"{name} is no double perturbation; give pairs of genes.")
        means, variances, moved = zip(*(group(context, one) for one in (name, *genes, CONTROL)), strict=True)
        made["deviation"].append(deviation(*means))
        made["own"].append(variances[0])
        made["noise"].append(np.sum(variances, axis=0))
        made["null"].append(_rms(deviation(*moved)))
    return Additivity(conditions, **{name: np.array(rows) for name, rows in made.items()})


class _Groups:
    """Names of the cells of one perturbation in one context."""

    def __init__(self, cells: AnnData):
        obs = cells.obs
        self.names = cells.obs_names.to_numpy(str)
        keys = obs["context"].astype(str) + "|" + obs["perturbation"].astype(str)
        self.rows = pd.Series(np.arange(len(obs))).groupby(keys.to_numpy()).indices

    def __call__(self, context: str, name: str) -> np.ndarray:
        rows = self.rows.get(f"{context}|{name}", [])
        if len(rows) < 2:
            raise InputError(
                f"{context} has {len(rows)} cells of {name}; a deviation and its noise need two of every double, of both "
                "its singles and of the controls."
            )
        return np.sort(self.names[rows])


def _rms(values: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(np.asarray(values, dtype=float) ** 2, axis=-1))
