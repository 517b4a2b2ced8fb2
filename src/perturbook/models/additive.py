"""`additive`: an effect per drug and dose plus an offset per context."""

import numpy as np
import pandas as pd

from perturbook.errors import NotApplicable
from perturbook.models.protocol import Prediction, Query, Training, model


@model("additive", title="Additive (perturbation + context)", role="floor")
class Additive:
    """yhat = mu0 + alpha[drug, dose] + beta[context], fitted by least squares on the training effects.

    The smallest solution is taken: a constant may move from all alpha to all beta without changing a prediction. Where
    training does not connect the drug with the context through other pairs, the sum itself is not defined.

    Source: metrics.md section 7, `additive` (drugs).
    """

    def fit(self, train: Training) -> "Additive":
        """Solve for alpha and beta; the design is `(conditions, drug-doses + contexts)`."""
        index = train.effects.index.to_frame(index=False)
        drug_dose = index["perturbation"] + "|" + index["dose_um"].astype(str)
        design = pd.get_dummies(pd.DataFrame({"a": drug_dose, "b": index["context"]}), dtype=float)
        inverse = np.linalg.pinv(design.to_numpy(), rcond=1e-10)
        self.terms = pd.DataFrame(inverse @ train.effects.to_numpy(), index=design.columns)
        self.estimable = pd.DataFrame(
            inverse @ design.to_numpy(), index=design.columns, columns=design.columns
        )
        return self

    def predict(self, query: Query) -> Prediction:
        """Add both terms; raises NotApplicable where a drug-dose or a context has none, or nothing connects them."""
        alpha = [f"a_{drug}|{dose}" for drug, dose in query.group("perturbation", "dose_um")]
        beta = [f"b_{context}" for (context,) in query.group("context")]
        if missing := sorted(set(alpha + beta) - set(self.terms.index)):
            kind = "context" if missing[0].startswith("b_") else "perturbation and dose"
            raise NotApplicable(f"training has no effect for {kind} {missing[0][2:].removesuffix('|nan')}")
        asked = pd.get_dummies(pd.DataFrame({"a": alpha, "b": beta}), prefix="", prefix_sep="", dtype=float)
        asked = asked.reindex(columns=self.terms.index, fill_value=0.0)
        loose = (np.abs(asked @ self.estimable - asked) > 1e-6).any(axis=1).to_numpy()
        if loose.any():
            raise NotApplicable(
                f"training does not connect drug and context of {query.conditions.index[loose][0]}"
            )
        return Prediction(query.mu0 + self.terms.loc[alpha].to_numpy() + self.terms.loc[beta].to_numpy())
