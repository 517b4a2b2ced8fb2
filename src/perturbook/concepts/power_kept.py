"""How much of what an embedding knows do the codes keep? The same linear probe on codes, embeddings and every arm.

Multinomial logistic regression on coordinates in standard deviations of the training cells; its penalty is chosen on validation
cells, and only then are test cells looked at. Source: `concepts.md` section 7.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from perturbook.errors import InputError, ShapeError

STRENGTHS = (1e-2, 1e-1, 1.0)
"""Inverse penalties that are tried; on standardised coordinates larger ones hardly differ. Our choice."""
STEPS = 200
"""Most steps of the optimiser."""


@dataclass(frozen=True)
class Power:
    """What a probe said of the test cells."""

    said: np.ndarray
    """`(cells,)`, codes of the labels."""
    truth: np.ndarray
    """`(cells,)`."""
    strength: float
    """Inverse penalty that was best on validation cells."""

    @property
    def macro_f1(self) -> float:
        """Mean of the F1 of every label that is there or was said; 0 for one that is said and never there."""
        return float(_scores(self.said[None], self.truth[None])["macro_f1"][0])

    @property
    def balanced_accuracy(self) -> float:
        """Mean over labels of the share of its cells that were recognised."""
        return float(_scores(self.said[None], self.truth[None])["balanced_accuracy"][0])

    def interval(self, score: str, n: int = 1000) -> tuple[float, float]:
        """95 % percentile interval of `macro_f1` or `balanced_accuracy` over test cells resampled within labels."""
        rows = _resamples(self.truth, n)
        return tuple(np.percentile(_scores(self.said[rows], self.truth[rows])[score], [2.5, 97.5]))


def difference(first: Power, second: Power, score: str, n: int = 1000) -> tuple[float, float, float]:
    """`first` minus `second` on the same test cells: the difference and its 95 % interval, cells resampled for both alike.

    Raises:
        InputError: the test cells are not the same.
    """
    if not np.array_equal(first.truth, second.truth):
        raise InputError("Two probes can only be compared on the same test cells in the same order.")
    rows = _resamples(first.truth, n)
    found = [_scores(one.said[rows], one.truth[rows])[score] for one in (first, second)]
    low, high = np.percentile(found[0] - found[1], [2.5, 97.5])
    return getattr(first, score) - getattr(second, score), float(low), float(high)


def power_kept(
    points: np.ndarray, labels: np.ndarray, train: np.ndarray, valid: np.ndarray, test: np.ndarray
) -> Power:
    """Read a label from a representation.

    Args:
        points: codes or embeddings `(cells, width)`.
        labels: one per cell `(cells,)`.
        train, valid, test: True for the cells of each part `(cells,)`; no cell is in two.

    Raises:
        ShapeError: arguments differ in length.
        InputError: a part is empty or overlaps another, a value is not finite, or training cells have fewer than two labels.
    """
    from sklearn.exceptions import ConvergenceWarning  # slow to import
    from sklearn.linear_model import LogisticRegression

    points, labels, parts = np.asarray(points, float), np.asarray(labels).astype(str), (train, valid, test)
    _refuse(points, labels, parts)
    codes = np.unique(labels, return_inverse=True)[1]
    centre, spread = points[train].mean(axis=0), points[train].std(axis=0)
    x = ((points - centre) / np.where(spread > 0, spread, 1))[:, spread > 0]
    best = (-np.inf, None, np.nan)
    for strength in STRENGTHS:
        probe = LogisticRegression(C=strength, class_weight="balanced", max_iter=STEPS)
        with warnings.catch_warnings():
            # a probe that stopped early is judged like any other, on validation cells
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(x[train], codes[train])
        score = _scores(probe.predict(x[valid])[None], codes[valid][None])["macro_f1"][0]
        if score > best[0]:
            best = (score, probe, strength)
    return Power(best[1].predict(x[test]), codes[test], best[2])


def _refuse(points: np.ndarray, labels: np.ndarray, parts: tuple[np.ndarray, ...]) -> None:
    if points.ndim != 2 or any(np.shape(one) != (len(points),) for one in (labels, *parts)):
        raise ShapeError(
            f"points are {points.shape}; give (cells, width), and one label and one mask per cell."
        )
    if not all(np.any(one) for one in parts) or np.sum(parts, axis=0).max() > 1:
        raise InputError("Training, validation and test cells must each be some, and no cell in two of them.")
    if not np.isfinite(points).all():
        raise InputError("A value is not finite; leave such cells out.")
    if len(set(labels[parts[0]])) < 2:
        raise InputError("The training cells have one label only; there is nothing to tell apart.")


def _resamples(truth: np.ndarray, n: int) -> np.ndarray:
    """Rows of cells `(resamples, cells)`, as many of each label as there are."""
    rng, rows = np.random.default_rng(0), np.empty((n, len(truth)), int)
    for name in np.unique(truth):
        own = np.flatnonzero(truth == name)
        rows[:, own] = own[rng.integers(len(own), size=(n, len(own)))]
    return rows


def _scores(said: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Both scores of every row `(rows, cells)`, over the labels that a row holds or says."""
    f1, recall = [], []
    for name in np.unique([said, truth]):
        right = ((said == name) & (truth == name)).sum(axis=1)
        there, claimed = (truth == name).sum(axis=1), (said == name).sum(axis=1)
        with np.errstate(invalid="ignore"):
            f1.append(2 * right / (there + claimed))  # NaN where it neither is nor was said
            recall.append(right / there)
    return {"macro_f1": np.nanmean(f1, axis=0), "balanced_accuracy": np.nanmean(recall, axis=0)}
