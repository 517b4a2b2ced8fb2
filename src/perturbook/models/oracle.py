"""`oracle`: the noise-free mean of a simulated condition. It brackets the scale from above; it is not a model."""

from perturbook.errors import NotApplicable
from perturbook.models.protocol import Prediction, Query, Training, model


@model("oracle", title="Oracle (simulator's mean)", role="oracle")
class Oracle:
    """yhat = expected log-normalised profile under the simulator, known for simulated cells only.

    Source: simulators.md section 1.
    """

    reads_truth = True

    def fit(self, train: Training) -> "Oracle":
        """Learn nothing."""
        return self

    def predict(self, query: Query) -> Prediction:
        """Look each condition up; raises NotApplicable for real cells."""
        if query.truth is None:
            raise NotApplicable("the noise-free mean of real cells is not known")
        return Prediction(query.truth.loc[query.conditions.index].to_numpy(float))
