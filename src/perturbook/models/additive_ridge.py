"""`additive_ridge`: the two single effects add up with coefficients of their own, learned from other doubles."""

from collections.abc import Sequence

import numpy as np

from perturbook.errors import NotApplicable
from perturbook.models.protocol import Training, model
from perturbook.models.single_effects import Genes, OfSingles, Parts

PENALTIES = np.logspace(-4, 4, 17)
N_FOLDS = 5


def terms(parts: Parts) -> np.ndarray:
    """What the coefficients weigh: [1, cosine, norm ratio] times the stronger and times the weaker effect, `(genes, 6)`.

    The ratio is that of the weaker norm to the stronger; cosine and ratio are 0 where an effect is 0.
    """
    weak, strong = sorted(parts, key=np.linalg.norm)
    norms = np.linalg.norm(weak), np.linalg.norm(strong)
    cosine, ratio = (weak @ strong / (norms[0] * norms[1]), norms[0] / norms[1]) if norms[0] else (0.0, 0.0)
    return np.column_stack([scale * part for part in (strong, weak) for scale in (1.0, cosine, ratio)])


def solve(gram: Sequence[np.ndarray], right: Sequence[np.ndarray], penalty: float) -> np.ndarray:
    """Ridge weights `(6,)` from the Gram matrices and right-hand sides of the doubles, penalty in units of their mean."""
    total = np.sum(gram, axis=0)
    shrink = penalty * max(np.trace(total) / len(total), 1e-12) * np.eye(len(total))
    return np.linalg.solve(total + shrink, np.sum(right, axis=0))


@model("additive_ridge", title="Additive with ridge coefficients", role="opponent")
class AdditiveRidge(OfSingles):
    """yhat = mu0 + c1 d_strong + c2 d_weak, c = 1 + w [1, cosine(d_a, d_b), |d_weak| / |d_strong|].

    The weights w are fitted to the training doubles by ridge, so that a strong penalty leaves the additive floor; the
    penalty is chosen by leaving out fifths of these doubles. Not defined where training lacks a single.

    Source: perturbedvae.md section 16.1 and simulators.md section 4; shrinking towards 1 is our choice.
    """

    missing = "training lacks a single of every double asked about"

    def fit(self, train: Training) -> "AdditiveRidge":
        """Fit the weights; raises NotApplicable with fewer than two training doubles of two seen singles."""
        super().fit(train)
        gram, right = [], []
        rows = zip(
            self.effects.index.get_level_values("context"), self.genes, self.effects.to_numpy(), strict=True
        )
        for context, genes, effect in rows:
            parts = self._parts(context, genes)
            if len(genes) == 2 and all(part is not None for part in parts):
                x = terms(parts)
                gram.append(x.T @ x)
                right.append(x.T @ (effect - np.sum(parts, axis=0)))
        if len(gram) < 2:
            raise NotApplicable(f"training holds {len(gram)} doubles of two seen singles; two are needed")
        self.weights = solve(gram, right, _choose(np.array(gram), np.array(right)))
        return self

    def _shift(self, context: str, genes: Genes, dose: float) -> np.ndarray | None:
        parts = self._parts(context, genes)
        if len(parts) != 2 or any(part is None for part in parts):
            return None
        return np.sum(parts, axis=0) + terms(parts) @ self.weights


def _choose(gram: np.ndarray, right: np.ndarray) -> float:
    """Penalty of least squared error over doubles that were left out of the fit."""
    fold, error = np.arange(len(gram)) % min(N_FOLDS, len(gram)), np.zeros(len(PENALTIES))
    for out in (fold == i for i in np.unique(fold)):
        for j, penalty in enumerate(PENALTIES):
            w = solve(gram[~out], right[~out], penalty)
            error[j] += (w @ gram[out] @ w - 2 * right[out] @ w).sum()
    return float(PENALTIES[error.argmin()])
