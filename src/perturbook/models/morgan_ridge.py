"""`morgan_ridge`: a linear map from Morgan bits and context to the effect, one per well-measured dose."""

import numpy as np

from perturbook.data.schema import CONTROL
from perturbook.errors import NotApplicable
from perturbook.models.chemistry import fingerprints
from perturbook.models.mean_effects import well_measured
from perturbook.models.protocol import Prediction, Query, Training, model
from perturbook.splits.setting import structures

PENALTIES = np.logspace(-1, 4, 11)
N_FOLDS = 5


def solve(kernel: np.ndarray, target: np.ndarray, penalty: float) -> np.ndarray:
    """Dual coefficients (K + penalty I)^-1 Y of a kernel ridge, `(rows, genes)`."""
    return np.linalg.solve(kernel + penalty * np.eye(len(kernel)), target)


def choose_penalty(features: np.ndarray, target: np.ndarray, groups: np.ndarray) -> float:
    """Penalty of least squared error over folds that never divide a group (a parent structure).

    With A the map of a penalty from left-in to left-out rows, R the left-in residuals and C the left-out ones,
    |A R - C|^2 = tr(A R R' A') - 2 tr(A R C') + |C|^2. Features and genes are summed over once, for all folds and
    penalties: a fold needs only the products of rows, centred on its left-in rows. The last term is the same for all.
    """
    fold = np.searchsorted(np.unique(groups), groups) % N_FOLDS
    kernel, products, error = features @ features.T, target @ target.T, np.zeros(len(PENALTIES))
    for i in range(N_FOLDS):
        out = fold == i
        if out.all():  # a single group cannot be left out
            continue
        k, y = _centred(kernel, ~out), _centred(products, ~out)
        values, vectors = np.linalg.eigh(k[~out][:, ~out])
        left, gram = k[out][:, ~out] @ vectors, vectors.T @ y[~out][:, ~out] @ vectors
        cross = y[out][:, ~out] @ vectors
        for j, penalty in enumerate(PENALTIES):
            a = left / (values + penalty)
            error[j] += np.sum(a * (a @ gram - 2 * cross))
    return float(PENALTIES[error.argmin()])


def _centred(products: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Products of rows after the mean of the rows `inside` was taken from each."""
    mean = products[:, inside].mean(axis=1)
    return products - mean[:, None] - mean + mean[inside].mean()


@model("morgan_ridge", title="Morgan ridge", role="opponent")
class MorganRidge:
    """Effect = ridge on [Morgan bits, context one-hot], fitted per dose, penalty by inner folds over structures.

    W = argmin |Y - X W|^2 + lambda |W|^2 with X and Y centred. metrics.md section 7 asks for log10 dose as one more
    column; an effect that adds structure to dose cannot be near zero for every drug at the lowest dose, so one map per
    dose is the abler opponent (our choice). A dose with fewer than a quarter of the training drugs has no map of its
    own: its conditions, and those of doses that training does not have, take one map over all rows.

    Source: metrics.md section 7, `morgan_ridge`.
    """

    shuffled = False

    def fit(self, train: Training) -> "MorganRidge":
        """Keep features and effects; raises NotApplicable without structures or with too few drugs."""
        index = train.effects.index.to_frame(index=False)
        self.drugs = sorted(index["perturbation"].unique())
        if len(self.drugs) < 2 * N_FOLDS:
            raise NotApplicable(f"fewer than {2 * N_FOLDS} training drugs")
        self.table = train.perturbations
        self.contexts = sorted(index["context"].unique())
        self.features, self.effects = self._features(index), train.effects.to_numpy()
        self.structure = structures(self.table).reindex(index["perturbation"]).to_numpy(str)
        self.doses, self.maps = self._doses(index), {}
        self.own = {q for q in np.unique(self.doses) if well_measured(index["perturbation"], self.doses == q)}
        return self

    def _map(self, dose: float | None) -> tuple[np.ndarray, ...]:
        """Centre, mean, centred features and dual coefficients of a map, fitted when first asked for."""
        if dose not in self.maps:
            at = self.doses == dose if dose is not None else slice(None)
            centre, mean = self.features[at].mean(axis=0), self.effects[at].mean(axis=0)
            x, y = self.features[at] - centre, self.effects[at] - mean
            penalty = choose_penalty(x, y, self.structure[at])
            self.maps[dose] = (centre, mean, x, solve(x @ x.T, y, penalty))
        return self.maps[dose]

    @staticmethod
    def _doses(rows) -> np.ndarray:
        return rows["dose_um"].fillna(1.0).to_numpy(float)  # one map where dose has no meaning

    def _features(self, rows) -> np.ndarray:
        drugs = sorted(set(rows["perturbation"]))
        bits = fingerprints(self.table, drugs)
        if self.shuffled:
            # Every drug gets the structure of another one, the same in training and at prediction.
            smiles = self.table["smiles"].astype(object).fillna("")
            everyone = sorted(self.table.index[(smiles != "") & (self.table.index != CONTROL)])
            turned = dict(
                zip(everyone, np.roll(np.random.default_rng(0).permutation(everyone), 1), strict=True)
            )
            bits = fingerprints(self.table, [turned[drug] for drug in drugs])
        onehot = np.stack([(rows["context"] == c).to_numpy(float) for c in self.contexts], axis=1)
        return np.hstack([bits[np.searchsorted(drugs, rows["perturbation"].to_numpy(str))], onehot])

    def predict(self, query: Query) -> Prediction:
        """Apply to each condition the map of its dose."""
        rows = query.conditions.reset_index(drop=True)
        features, effects = self._features(rows), np.empty_like(query.mu0)
        keys = np.array([dose if dose in self.own else np.nan for dose in self._doses(rows)])
        for dose in np.unique(keys):
            at = np.isnan(keys) if np.isnan(dose) else keys == dose
            centre, mean, x, dual = self._map(None if np.isnan(dose) else dose)
            effects[at] = mean + (features[at] - centre) @ x.T @ dual
        return Prediction(query.mu0 + effects)


@model("morgan_ridge_shuffled", title="Morgan ridge, structures shuffled", role="floor")
class MorganRidgeShuffled(MorganRidge):
    """The same ridge with every drug given another drug's structure; the difference is the value of chemistry.

    Source: metrics.md section 7, rules.
    """

    shuffled = True
