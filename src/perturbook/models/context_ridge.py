"""`context_ridge`: the drug's mean effect, scaled by how strongly its responding genes are expressed in the context."""

import numpy as np
import pandas as pd

from perturbook.errors import NotApplicable
from perturbook.models.protocol import Prediction, Query, Training, model

PENALTIES = np.logspace(-3, 3, 13)


@model("context_ridge", title="Context-aware ridge", role="opponent")
class ContextRidge:
    """effect[c, d, q] = m[d, q] * (w0 + w1 b[c, d, q] + g[c]).

    m is the mean effect of drug d at dose q in the other training contexts. b is the |m|-weighted mean, over genes, of
    the context's control profile minus the mean control profile of training: the basal expression of the genes that
    respond. g is a gain per context, learned where the context has treated training cells and 0 elsewhere. All three
    are ridge coefficients (w0 unpenalised); the penalty is chosen by leaving out one context at a time.

    Source: simulators.md section 4 (context-aware ridge); gain and penalty are our choice.
    """

    def fit(self, train: Training) -> "ContextRidge":
        """Regress <m, effect> / <m, m> on [1, b, context one-hot], weighted by <m, m>."""
        self.basal, effects = train.controls.mean(axis=0).to_numpy(), train.effects.to_numpy()
        index = train.effects.index.to_frame(index=False)
        self.by_drug = {
            drug: (effects[rows.index], rows["context"].to_numpy(str), rows["dose_um"].to_numpy(float))
            for drug, rows in index.groupby("perturbation")
        }
        rows = []
        for i, (context, drug, dose) in enumerate(index.itertuples(index=False, name=None)):
            if (m := self._others(context, drug, dose)) is not None:
                control = train.controls.loc[context].to_numpy()
                rows.append((context, self._expression(m, control), m @ effects[i], m @ m))
        contexts = sorted({row[0] for row in rows})
        if len(contexts) < 2:
            raise NotApplicable("training holds no drug in two contexts")
        table = pd.DataFrame(rows, columns=["context", "b", "xy", "xx"])
        self.weights = self._solve(table, contexts, self._choose(table, contexts))
        return self

    def _others(self, context: str, drug: str, dose: float) -> np.ndarray | None:
        """Mean effect of the drug in training contexts other than `context`, at the dose if it is there, `(genes,)`."""
        if drug not in self.by_drug:
            return None
        effects, contexts, doses = self.by_drug[drug]
        elsewhere, at_dose = contexts != context, doses == dose
        chosen = elsewhere & at_dose if (elsewhere & at_dose).any() else elsewhere
        return effects[chosen].mean(axis=0) if chosen.any() else None

    def _expression(self, m: np.ndarray, control: np.ndarray) -> float:
        return float(np.abs(m) @ (control - self.basal) / (np.abs(m).sum() or 1.0))

    @staticmethod
    def _solve(table: pd.DataFrame, contexts: list[str], penalty: float) -> pd.Series:
        onehot = (table["context"].to_numpy()[:, None] == np.array(contexts)).astype(float)
        x = np.column_stack([np.ones(len(table)), table["b"], onehot])
        weight = table["xx"].to_numpy()
        shrink = penalty * weight.mean() * np.diag([0.0] + [1.0] * (x.shape[1] - 1))
        solved = np.linalg.solve(
            x.T @ (weight[:, None] * x) + shrink + 1e-12 * np.eye(x.shape[1]), x.T @ table["xy"]
        )
        return pd.Series(solved, index=["w0", "w1", *(f"g {c}" for c in contexts)])

    def _choose(self, table: pd.DataFrame, contexts: list[str]) -> float:
        """Penalty whose weights predict the scaled effects of a left-out context best, its gain being unknown there."""
        error = np.zeros(len(PENALTIES))
        for out in contexts:
            test, rest = table[table["context"] == out], table[table["context"] != out]
            for j, penalty in enumerate(PENALTIES):
                w = self._solve(rest, [c for c in contexts if c != out], penalty)
                scale = w["w0"] + w["w1"] * test["b"]
                error[j] += (scale**2 * test["xx"] - 2 * scale * test["xy"]).sum()
        return float(PENALTIES[error.argmin()])

    def predict(self, query: Query) -> Prediction:
        """Scale each drug's mean effect; raises NotApplicable for a drug that training does not hold elsewhere."""
        rows = []
        for (context, drug, dose), mu0 in zip(
            query.group("context", "perturbation", "dose_um"), query.mu0, strict=True
        ):
            if (m := self._others(context, drug, dose)) is None:
                raise NotApplicable(f"training holds no cell of {drug} in another context")
            gain = self.weights.get(f"g {context}", 0.0)
            rows.append(mu0 + m * (self.weights["w0"] + self.weights["w1"] * self._expression(m, mu0) + gain))
        return Prediction(np.stack(rows))
