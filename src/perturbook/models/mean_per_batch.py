"""`mean_per_batch`: on each plate or batch, its own controls and its own mean effect."""

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.errors import NotApplicable
from perturbook.models.mean_effects import at_dose
from perturbook.models.protocol import Prediction, Query, Training, model


def _of_batches(cells: AnnData) -> Training:
    """The cells as a training set whose contexts are "context|batch", so that each batch has its own control mean.

    Batches without controls are left out.
    """
    places = cells.obs["context"].astype(str) + "|" + cells.obs["replicate"].astype(str)
    obs = cells.obs.assign(context=places)
    has_control = places.isin(places[obs["is_control"].to_numpy(bool)]).to_numpy()
    placed = AnnData(cells.X, obs=obs, var=cells.var, layers=cells.layers)
    return Training(placed if has_control.all() else placed[has_control].copy())


@model("mean_per_batch", title="Mean of the same plate or batch", role="floor")
class MeanPerBatch:
    """yhat = average over the batches the condition lies on of (control mean + mean training effect) of that batch.

    The mean is over the training conditions of the same context and dose that lie on the batch. Part of its lead is
    noise of control wells that truth and prediction share.

    Source: floors-and-peers.md section 1, mean of training on the same plate.
    """

    def fit(self, train: Training) -> "MeanPerBatch":
        """Keep the training effects per context and batch; raises NotApplicable where there are no two batches."""
        batches = train.cells.obs.get("replicate")
        if batches is None or batches.nunique() < 2:
            raise NotApplicable("the design has no two plates or batches")
        self.effects = _of_batches(train.cells).effects
        return self

    def predict(self, query: Query) -> Prediction:
        """Average over batches by `Query.batches`; raises NotApplicable where it is not known or a batch has no mean."""
        if query.batches is None:
            raise NotApplicable("on which plates or batches the conditions lie is not known")
        controls = _of_batches(query.controls).controls
        means = np.zeros(query.mu0.shape)
        for row, (key, context, dose) in enumerate(query.conditions[["context", "dose_um"]].itertuples()):
            for batch, share in query.batches.loc[key].items():
                if share > 0:
                    means[row] += share * self._mean(controls, f"{context}|{batch}", dose)
        return Prediction(means)

    def _mean(self, controls: pd.DataFrame, place: str, dose: float) -> np.ndarray:
        here = at_dose(self.effects[self.effects.index.get_level_values("context") == place], dose)
        if here.empty or place not in controls.index:
            raise NotApplicable(f"{place} has no control or no treated training cell")
        return controls.loc[place].to_numpy() + here.to_numpy().mean(axis=0)
