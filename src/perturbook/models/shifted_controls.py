"""`shifted_controls`: control cells moved by the mean training effect; the floor for metrics that need cells."""

import numpy as np
import scipy.sparse as sp

from perturbook.data.schema import expression
from perturbook.models.mean_effects import MeanTrain
from perturbook.models.protocol import Prediction, Query, model


@model("shifted_controls", title="Controls moved by the mean", role="floor")
class ShiftedControls(MeanTrain):
    """Every control cell of the context plus the effect that `mean_train` predicts.

    Its cell-to-cell variance is that of the controls, so `var_ratio` is near 1 for free: read it with `edist_u`.

    Source: metrics.md section 5.3 (transported controls).
    """

    def predict(self, query: Query) -> Prediction:
        """Return one moved copy of the context's controls per condition, each `(cells, genes)`."""
        return Prediction.from_cells(moved_controls(query, super().predict(query).mean - query.mu0))


def moved_controls(query: Query, shifts: np.ndarray) -> list[np.ndarray]:
    """Per condition its context's control cells `(cells, genes)`, sorted by name, plus a row of `shifts` `(conditions, genes)`."""
    contexts = query.controls.obs["context"].astype(str).to_numpy()
    order = np.argsort(query.controls.obs_names.to_numpy(str))
    values = sp.csr_matrix(expression(query.controls))
    pools = {c: values[order[contexts[order] == c]].toarray() for c in np.unique(contexts)}
    return [pools[c] + shift for (c,), shift in zip(query.group("context"), shifts, strict=True)]
