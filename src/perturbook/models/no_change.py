"""`no_change`: the perturbation does nothing."""

from perturbook.models.protocol import Prediction, Query, Training, model


@model("no_change", title="No change", role="floor")
class NoChange:
    """yhat = mu0, the control mean of the target context.

    Source: metrics.md section 7.
    """

    def fit(self, train: Training) -> "NoChange":
        """Learn nothing."""
        return self

    def predict(self, query: Query) -> Prediction:
        """Return the control mean of each condition's context, `(conditions, genes)`."""
        return Prediction(query.mu0)
