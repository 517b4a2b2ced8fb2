"""What a representation of cells knows: read by a linear probe on cells that it was not fitted on, against permuted truth.

A label is read by logistic regression, a number by ridge regression, both from standardised coordinates. The null keeps the
fitted probe and deals the truth of the held-out cells anew, so that it holds whatever the probe is. Source: our choice.
"""

from dataclasses import dataclass

import numpy as np

from perturbook.errors import InputError, ShapeError
from perturbook.evaluation.embeddings import finite
from perturbook.evaluation.intervals import Interval

PERMUTATIONS = 1000
"""Permutations behind a null."""
PENALTIES = 10.0 ** np.arange(-2, 6)
"""Penalties of the ridge regression that are tried, by leave-one-out on the fitting cells."""
KIND = "95 % bootstrap over held-out cells within conditions"


@dataclass(frozen=True)
class Probe:
    """A probe on held-out cells; NaN throughout where the target does not vary or is not known."""

    said: np.ndarray
    """What was read, `(cells,)`."""
    truth: np.ndarray
    """What is so, `(cells,)`."""
    groups: np.ndarray
    """Condition of each cell, within which cells are resampled, `(cells,)`; of a label, the label."""
    score: float
    """Balanced accuracy of a label; of a number, the Pearson correlation of what was read with the truth."""
    null: np.ndarray
    """Scores with the truth permuted, `(permutations,)`."""

    @property
    def bounds(self) -> tuple[float, float]:
        """2.5 % and 97.5 % quantile of the null."""
        return tuple(float(bound) for bound in np.quantile(self.null, (0.025, 0.975)))

    def interval(self, n: int = 2_000) -> Interval:
        """The score with a percentile 95 % interval over resampled cells, the fitted probe as it is."""
        cells = len(self.truth)
        if np.isnan(self.score):
            return Interval(np.nan, np.nan, np.nan, 0, cells, "undefined")
        rng, rows = np.random.default_rng(0), np.empty((n, cells), int)
        for name in np.unique(self.groups):
            own = np.flatnonzero(self.groups == name)
            rows[:, own] = own[rng.integers(len(own), size=(n, len(own)))]
        scores = _score(self.said[rows], self.truth[rows])
        low, high = np.percentile(scores, [2.5, 97.5])
        return Interval(self.score, float(low), float(high), cells, cells, KIND)


def probe_labels(
    points: np.ndarray, labels: np.ndarray, held: np.ndarray, *, permutations: int = PERMUTATIONS
) -> Probe:
    """Read a label from a representation: balanced accuracy, chance at one over the number of labels.

    Args:
        points: representation `(cells, width)`.
        labels: one per cell `(cells,)`.
        held: True for cells that are scored and not fitted on, `(cells,)`.
        permutations: of the null.

    Raises:
        ShapeError: the arguments differ in length. InputError: a held-out label does not occur among the others, or one
            of the two parts is empty.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import

    x, labels = _standard(points, held), np.asarray(labels)
    _same_length(len(x), labels)
    if unknown := sorted(set(labels[held]) - set(labels[~held])):
        raise InputError(f"No cell of {unknown[0]} is left to fit the probe on.")
    codes = np.unique(labels, return_inverse=True)[1]
    said = None
    if len(set(labels[~held])) > 1:
        fitted = LogisticRegression(class_weight="balanced", max_iter=2000)
        said = fitted.fit(x[~held], codes[~held]).predict(x[held])
    return _scored(said, codes[held], labels[held], permutations)


def probe_numbers(
    points: np.ndarray,
    numbers: np.ndarray,
    held: np.ndarray,
    groups: np.ndarray,
    *,
    permutations: int = PERMUTATIONS,
) -> Probe:
    """Read a number from a representation: Pearson correlation of what is read with the truth, 0 if nothing is known.

    A reading that is the same for every cell correlates with nothing and counts as 0.

    Args:
        points: representation `(cells, width)`.
        numbers: one per cell `(cells,)`; undefined as soon as one is NaN.
        held: True for cells that are scored and not fitted on, `(cells,)`.
        groups: condition of each cell `(cells,)`; cells are resampled within it.
        permutations: of the null.

    Raises:
        ShapeError: the arguments differ in length. InputError: one of the two parts is empty.
    """
    from sklearn.linear_model import RidgeCV  # slow to import

    x, numbers, groups = _standard(points, held), np.asarray(numbers, float), np.asarray(groups)
    _same_length(len(x), numbers, groups)
    said = None
    if np.isfinite(numbers).all() and numbers[held].std() and numbers[~held].std():
        said = RidgeCV(PENALTIES).fit(x[~held], numbers[~held]).predict(x[held])
    return _scored(said, numbers[held], groups[held], permutations)


def _scored(said: np.ndarray | None, truth: np.ndarray, groups: np.ndarray, permutations: int) -> Probe:
    if said is None:
        blank = np.full(len(truth), np.nan)
        return Probe(blank, blank, groups, np.nan, np.full(permutations, np.nan))
    rng = np.random.default_rng(0)
    dealt = np.stack([rng.permutation(truth) for _ in range(permutations)])
    null = _score(np.broadcast_to(said, dealt.shape), dealt)
    return Probe(said, truth, groups, float(_score(said[None], truth[None])[0]), null)


def _score(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Balanced accuracy of whole numbers, correlation of others, of every row `(rows, cells)`."""
    if truth.dtype.kind in "iu":
        names = np.unique(truth)
        own = [
            (np.where(truth == name, said == name, 0).sum(axis=1), (truth == name).sum(axis=1))
            for name in names
        ]
        return np.mean([right / count for right, count in own], axis=0)
    a, b = (one - one.mean(axis=1, keepdims=True) for one in (said, truth))
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.where(size > 1e-12, (a * b).sum(axis=1) / np.where(size > 1e-12, size, 1), 0.0)


def _standard(points: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Coordinates in SD of the fitting cells around their mean; one that does not vary there is 0."""
    points, held = finite(points), np.asarray(held)
    if held.shape != (len(points),) or held.dtype != bool:
        raise ShapeError(f"held is {held.shape}; give True or False for each of the {len(points)} cells.")
    if held.all() or not held.any():
        raise InputError("A probe needs cells to be fitted on and cells to be scored.")
    centre, spread = points[~held].mean(axis=0), points[~held].std(axis=0)
    return np.where(spread > 0, (points - centre) / np.where(spread > 0, spread, 1), 0.0)


def _same_length(cells: int, *arrays: np.ndarray) -> None:
    if wrong := [np.shape(one) for one in arrays if np.shape(one) != (cells,)]:
        raise ShapeError(f"An argument has shape {wrong[0]}; give one value for each of the {cells} cells.")
