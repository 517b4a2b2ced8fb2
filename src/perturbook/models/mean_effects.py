"""Floors that add an average training effect to the control mean. Each training condition weighs the same."""

import numpy as np
import pandas as pd

from perturbook.errors import NotApplicable
from perturbook.models.protocol import Prediction, Query, Training, model


def well_measured(perturbations: pd.Series | pd.Index, at: np.ndarray) -> bool:
    """True where the rows `at`, `(conditions,)`, cover a dose: at least a quarter of all perturbations.

    A dose at which a handful was measured says more about these few than about the dose. Source: our choice.
    """
    return bool(at.any()) and 4 * perturbations[at].nunique() >= perturbations.nunique()


def at_dose(effects: pd.DataFrame, dose: float) -> pd.DataFrame:
    """Rows of `effects` at `dose`; all rows where few perturbations or none have it, or doses have no meaning."""
    same = effects.index.get_level_values("dose_um") == dose
    return effects[same] if well_measured(effects.index.get_level_values("perturbation"), same) else effects


class _MeanEffect:
    """yhat = mu0 + mean of the training effects chosen by `_rows`, at the same dose."""

    missing = ""
    of: tuple[str, ...] = ()
    """Labels of a condition that decide its rows, besides the dose."""

    def fit(self, train: Training) -> "_MeanEffect":
        """Keep the training effects, `(conditions, genes)`."""
        self.effects = train.effects
        return self

    def predict(self, query: Query) -> Prediction:
        """Add the mean effect to each condition's control mean; raises NotApplicable where training has none."""
        groups, shifts = query.group(*self.of, "dose_um"), {}
        for of, (context, drug, dose) in zip(
            groups, query.group("context", "perturbation", "dose_um"), strict=True
        ):
            if of in shifts:
                continue
            rows = at_dose(self._rows(context, drug), dose)
            if rows.empty:
                raise NotApplicable(self.missing.format(context=context, drug=drug))
            shifts[of] = rows.to_numpy().mean(axis=0)
        return Prediction(query.mu0 + np.stack([shifts[of] for of in groups]))


@model("mean_train", title="Mean of training", role="floor")
class MeanTrain(_MeanEffect):
    """Mean effect of all training conditions, singles and doubles alike, of the same dose.

    Source: metrics.md section 7; "same dose" from scdca.md section 8.
    """

    missing = "training holds no treated cell"

    def _rows(self, context: str, drug: str) -> pd.DataFrame:
        return self.effects


@model("mean_per_context", title="Mean of the same context", role="floor")
class MeanPerContext(_MeanEffect):
    """Mean effect of the training conditions of the same context and dose.

    Source: metrics.md section 7.
    """

    missing = "training holds no treated cell of {context}"
    of = ("context",)

    def _rows(self, context: str, drug: str) -> pd.DataFrame:
        return self.effects[self.effects.index.get_level_values("context") == context]


@model("mean_per_drug", title="Mean of the same perturbation", role="floor")
class MeanPerDrug(_MeanEffect):
    """Mean effect of the same drug and dose in the other contexts.

    Source: metrics.md section 7.
    """

    missing = "training holds no cell of {drug} in another context"
    of = ("context", "perturbation")

    def _rows(self, context: str, drug: str) -> pd.DataFrame:
        index = self.effects.index
        return self.effects[
            (index.get_level_values("perturbation") == drug) & (index.get_level_values("context") != context)
        ]


@model("mean_per_condition", title="Mean of the same condition", role="floor")
class MeanPerCondition(_MeanEffect):
    """Effect of the same condition as its training cells show it: what a table look-up knows.

    Source: our choice; the floor of settings in which training holds other cells of the conditions asked about.
    """

    missing = "training holds no cell of {drug} in {context}"
    of = ("context", "perturbation")

    def _rows(self, context: str, drug: str) -> pd.DataFrame:
        index = self.effects.index
        return self.effects[
            (index.get_level_values("perturbation") == drug) & (index.get_level_values("context") == context)
        ]
