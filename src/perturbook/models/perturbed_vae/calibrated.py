"""`Calibrated`: the means of PerturbedVAE with cells that are as unlike each other as cells are.

Source: `perturbedvae.md` section 16.2.
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from perturbook.data.gene_labels import genes_of
from perturbook.data.schema import expression
from perturbook.errors import ConfigError
from perturbook.models.calibrated_cells import above_zero, control_cells, scaled, variance_factor
from perturbook.models.perturbed_vae.predictor import Predictor
from perturbook.models.protocol import Prediction, Query, Training

SPREADS = ("transport", "scale")


@dataclass
class Calibrated:
    """PerturbedVAE's means with the spread of control cells, or with that of the single perturbations."""

    inner: Predictor = field(default_factory=Predictor)
    spread: str = "transport"
    """`transport` moves control cells; `scale` also scales them by what each gene alone does to variances."""

    def __post_init__(self):
        if self.spread not in SPREADS:
            raise ConfigError(f"spread is {self.spread!r}. Allowed: {', '.join(SPREADS)}.")

    def fit(self, train: Training) -> "Calibrated":
        """Train, and measure the variances of single perturbations against the controls of their context."""
        self.inner.fit(train)
        self.factors = {} if self.spread == "transport" else _factors(train)
        return self

    def predict(self, query: Query) -> Prediction:
        """The inner means, and one cell per control cell of the context, none below 0; NaN where the mean is not defined."""
        mean = self.inner.predict(query).mean
        pools, made = control_cells(query), []
        for row, (context, name) in zip(mean, query.group("context", "perturbation"), strict=True):
            factor = np.ones(len(row))
            for gene in genes_of(str(name)):
                factor = factor * self.factors.get((str(context), gene), 1.0)
            cells = scaled(pools[str(context)], row, factor)
            made.append(above_zero(cells, row) if np.isfinite(row).all() else cells)
        return Prediction(mean, made, Prediction.from_cells(made).variance)


def _factors(train: Training) -> dict[tuple[str, str], np.ndarray]:
    """Per context and gene perturbed alone: factor on the variance of every gene, `(genes,)`."""
    obs, values = train.cells.obs, sp.csr_matrix(expression(train.cells))
    contexts, names = obs["context"].astype(str).to_numpy(), obs["perturbation"].astype(str).to_numpy()
    control, found = obs["is_control"].to_numpy(bool), {}
    for context in np.unique(contexts):
        own = contexts == context
        controls = values[own & control].toarray()
        for name in np.unique(names[own & ~control]):
            if len(genes_of(name)) == 1:
                group = values[own & (names == name)].toarray()
                found[context, name] = variance_factor(controls, [group])
    return found
