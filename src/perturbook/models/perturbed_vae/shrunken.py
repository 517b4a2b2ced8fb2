"""`Shrunken`: the sum of two effects, each drawn a little from what was measured towards what PerturbedVAE says of that single.

    yhat_ab = mu0 + sum_g [ y_g + w (m_g - y_g) - mu0 ]

Both the measured single y_g and the model's m_g are wrong, the one by the noise of its cells, the other by its bias. The
weight w is chosen on validation cells of singles, so that no double is needed; `w = 0` is the additive floor. Nothing is
said of an interaction: training on singles holds none. Source: `perturbedvae.md` section 16.1 (c), with the model as prior.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from perturbook.models.calibrated_cells import control_cells, transport
from perturbook.models.perturbed_vae.predictor import Predictor
from perturbook.models.perturbed_vae.singles import keys_of, single_means, summed
from perturbook.models.protocol import Prediction, Query, Training

LABELS = ["context", "perturbation", "dose_um"]


@dataclass
class Shrunken:
    """PerturbedVAE as a prior of the effects that a sum is made of."""

    inner: Predictor = field(default_factory=Predictor)
    weight: float | None = None
    """Of the model; None chooses it on validation cells of singles, and takes 0 where there are none."""

    def fit(self, train: Training) -> "Shrunken":
        """Train without the validation cells, choose the weight on them, and keep the means of all singles."""
        valid = train.cells.obs_names.isin(train.valid)
        known = Training(train.cells[~valid].copy()) if valid.any() else train
        self.inner.fit(known)
        self.singles = single_means(train)
        self.chosen = self._choose(known, train, valid) if self.weight is None else self.weight
        return self

    def _choose(self, known: Training, train: Training, valid: np.ndarray) -> float:
        """Least squares of the singles' validation means on measured and model means, within [0, 1]."""
        aside = single_means(Training(train.cells[valid].copy())) if valid.any() else {}
        measured = single_means(known)
        keys = sorted(set(aside) & set(measured))
        if not keys:
            return 0.0
        said = self._model(known.cells[known.cells.obs["is_control"].to_numpy(bool)].copy(), keys)
        move = np.array([said[key] - measured[key] for key in keys])
        left = np.array([aside[key] - measured[key] for key in keys])
        size = np.sum(move**2)
        return float(np.clip(np.sum(left * move) / size, 0, 1)) if size > 0 else 0.0

    def _model(self, controls, keys: list[tuple[str, str]]) -> dict[tuple[str, str], np.ndarray]:
        """What the model says of singles (context, gene), from control cells."""
        asked = pd.DataFrame([(*key, np.nan) for key in keys], columns=LABELS)
        return dict(zip(keys, self.inner.predict(Query(controls, asked)).mean, strict=True))

    def predict(self, query: Query) -> Prediction:
        """Means, and control cells moved to them; NaN where training lacks a single."""
        keys = sorted({key for pair in keys_of(query) for key in pair} & set(self.singles))
        said = self._model(query.controls, keys) if keys else {}
        drawn = {key: self.singles[key] + self.chosen * (said[key] - self.singles[key]) for key in keys}
        mean, pools = summed(query, drawn), control_cells(query)
        rows = zip(mean, query.group("context"), strict=True)
        cells = [transport(pools[str(context)], row) for row, (context,) in rows]
        return Prediction(mean, cells, Prediction.from_cells(cells).variance)
