"""`Contrast`: the additive prediction plus what PerturbedVAE says two genes do beyond their sum.

    yhat_ab = mu0 + delta_a + delta_b + kappa R(u_ab)

Main effects are measured better by cell means than by any model; only the deviation from their sum is worth predicting.
`kappa = 0` is the additive floor. Source: `perturbedvae.md` section 16.1 (a).
"""

from dataclasses import dataclass, field

import numpy as np

from perturbook.data.gene_labels import genes_of
from perturbook.models.calibrated_cells import control_cells, transport
from perturbook.models.perturbed_vae.generate import contrast
from perturbook.models.perturbed_vae.predictor import Predictor, starts_of
from perturbook.models.perturbed_vae.singles import single_means, summed
from perturbook.models.protocol import Prediction, Query, Training

MOST = 1.5
"""Largest kappa."""


@dataclass
class Contrast:
    """PerturbedVAE whose interaction is added to the sum of the measured effects."""

    inner: Predictor = field(default_factory=Predictor)
    kappa: float | None = None
    """Weight of the interaction; None chooses it on validation doubles, or takes 1 where there are none."""

    def fit(self, train: Training) -> "Contrast":
        """Train without the validation cells, choose kappa on their doubles, and keep the means of all singles."""
        valid = train.cells.obs_names.isin(train.valid)
        known = Training(train.cells[~valid].copy()) if valid.any() else train
        self.inner.fit(known)
        self.singles = single_means(train)
        self.chosen = self._choose(train, valid) if self.kappa is None else self.kappa
        return self

    def _choose(self, train: Training, valid: np.ndarray) -> float:
        """Least squares over the validation doubles, within [0, `MOST`]; 1 where there are none."""
        cells = train.cells
        if not valid.any():
            return 1.0
        shown = Training(cells[valid | cells.obs["is_control"].to_numpy(bool)].copy())
        obs = shown.profiles.obs
        asked = obs.loc[~obs["is_control"], ["context", "perturbation", "dose_um"]]
        asked = asked[asked["perturbation"].astype(str).str.contains("+", regex=False)]
        if asked.empty:
            return 1.0
        query = Query(cells[cells.obs["is_control"].to_numpy(bool)].copy(), asked)
        sums, beyond = summed(query, self.singles), self.interaction(query)
        rows = np.isfinite(sums).all(axis=1) & np.isfinite(beyond).all(axis=1)
        left = (shown.profiles.mean[obs.index.get_indexer(asked.index)] - sums)[rows]
        size = (beyond[rows] ** 2).sum()
        return float(np.clip((left * beyond[rows]).sum() / size, 0, MOST)) if size > 0 else 0.0

    def interaction(self, query: Query) -> np.ndarray:
        """R of every condition, `(conditions, genes)`; NaN where a gene was never perturbed in training."""
        names = query.conditions["perturbation"].astype(str)
        model, made = self.inner.model, np.full(query.mu0.shape, np.nan)
        starts = starts_of(model, query, self.inner.mode, self.inner.seed)
        for row, (name, (context,)) in enumerate(zip(names, query.group("context"), strict=True)):
            parts = self.inner.codes(genes_of(name))
            if np.isfinite(parts).all():
                made[row] = contrast(model, starts[str(context)], parts)
        return made

    def predict(self, query: Query) -> Prediction:
        """Means, and control cells moved to them; NaN where the sum or the model is not defined."""
        mean = summed(query, self.singles) + self.chosen * self.interaction(query)
        pools = control_cells(query)
        cells = [
            transport(pools[str(context)], row)
            for row, (context,) in zip(mean, query.group("context"), strict=True)
        ]
        return Prediction(mean, cells, Prediction.from_cells(cells).variance)
