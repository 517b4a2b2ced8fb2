"""Which concept tells a label? Chosen on validation cells, reported on test cells, beside what the base rate gives.

A concept is read as "active": its code, divided by the largest in the validation cells, lies above a threshold. Among hundreds
of concepts, nine thresholds and two signs some fit any labels of the cells they were chosen on; hence two sets of cells.
Source: `concepts.md` section 7 (F1, AMI, selection on validation); the two signs and the base rate are our choice.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from perturbook.errors import InputError, ShapeError

THRESHOLDS = tuple(np.arange(9) / 10)
"""Of the code over its maximum: 0, 0.1 ... 0.8."""


@dataclass(frozen=True)
class Labelled:
    """Codes and one label per cell, of two sets of cells that share none; raises ShapeError or InputError."""

    valid: np.ndarray
    """Codes `(validation cells, n_latents)`, none negative."""
    valid_labels: np.ndarray
    """`(validation cells,)`."""
    test: np.ndarray
    """`(test cells, n_latents)`."""
    test_labels: np.ndarray
    """`(test cells,)`."""

    def __post_init__(self):
        for part in ("valid", "test"):
            codes, labels = np.asarray(getattr(self, part)), np.asarray(getattr(self, f"{part}_labels"))
            if codes.ndim != 2 or labels.shape != codes.shape[:1] or not len(labels):
                raise ShapeError(
                    f"{part}: codes are {codes.shape}, labels {labels.shape}; give (cells, n_latents) and one label per cell."
                )
            object.__setattr__(self, part, codes)
            object.__setattr__(self, f"{part}_labels", labels.astype(str))
        if self.valid.shape[1] != self.test.shape[1]:
            raise ShapeError(f"{self.valid.shape[1]} concepts for validation, {self.test.shape[1]} for test.")
        if not (np.isfinite(self.valid).all() and np.isfinite(self.test).all()):
            raise InputError("A code is not finite; leave such cells out.")

    def active(self, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """Which concepts are active above a share of their largest code in the validation cells: of both sets of cells.

        A concept that no validation cell activates is active nowhere.
        """
        largest = self.valid.max(axis=0)
        bar = np.where(largest > 0, threshold * largest, np.inf)
        return self.valid > bar, self.test > bar


def label_f1(cells: Labelled) -> pd.DataFrame:
    """F1 of the best concept for each value of a label against all others.

    Concept, threshold and sign have the largest F1 on validation cells; the first of several, at the lowest threshold.

    Returns:
        One row per value that occurs in the validation cells: label, concept, threshold, sign (1: active where the label is,
        -1: active where it is not), f1_valid, f1_test (0 where nothing is right), base (F1 on test expected of cells chosen
        at random, as many as the concept chooses), n_valid, n_test (cells of the label).
    """
    names = np.unique(cells.valid_labels)
    truth = (cells.valid_labels[:, None] == names).astype(np.float32)
    best: list[tuple] = [(-1.0, 0, 0.0, 1)] * len(names)
    for threshold in THRESHOLDS:
        active = cells.active(threshold)[0].astype(np.float32)
        for sign, said in ((1, active), (-1, 1 - active)):
            scores = 2 * (said.T @ truth) / (said.sum(axis=0)[:, None] + truth.sum(axis=0))
            for i, concept in enumerate(scores.argmax(axis=0)):
                if scores[concept, i] > best[i][0] + 1e-6:
                    best[i] = (float(scores[concept, i]), int(concept), float(threshold), sign)
    rows = []
    for name, (f1_valid, concept, threshold, sign) in zip(names, best, strict=True):
        active = cells.active(threshold)[1][:, concept]
        said, is_so = active if sign == 1 else ~active, cells.test_labels == name
        both = said.mean() + is_so.mean()
        rows.append(
            {
                "label": name,
                "concept": concept,
                "threshold": threshold,
                "sign": sign,
                "f1_valid": f1_valid,
                "f1_test": 2 * (said & is_so).mean() / both if both else np.nan,
                "base": 2 * said.mean() * is_so.mean() / both if both else np.nan,
                "n_valid": int((cells.valid_labels == name).sum()),
                "n_test": int(is_so.sum()),
            }
        )
    return pd.DataFrame(rows)


def label_ami(cells: Labelled) -> dict[str, float]:
    """Adjusted mutual information of the best concept, active or not, with a label of any number of values.

    Returns:
        concept, threshold (the first with the largest on validation cells), ami_valid, ami_test: 0 on average by chance.
    """
    best = (-np.inf, 0, 0.0)
    for threshold in THRESHOLDS:
        scores = adjusted_information(cells.active(threshold)[0], cells.valid_labels)
        if scores.max() > best[0] + 1e-9:
            best = (float(scores.max()), int(scores.argmax()), float(threshold))
    ami_valid, concept, threshold = best
    active = cells.active(threshold)[1][:, [concept]]
    ami_test = float(adjusted_information(active, cells.test_labels)[0])
    return {"concept": concept, "threshold": threshold, "ami_valid": ami_valid, "ami_test": ami_test}


def adjusted_information(active: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Adjusted mutual information of each column of `active` `(cells, n_latents)` bool with labels `(cells,)`.

    0 where a column is constant, and 0 on average where it has nothing to do with the labels. As scikit-learn's
    `adjusted_mutual_info_score` with the arithmetic mean, all columns at once. Source: Vinh et al. 2010.
    """
    n = len(labels)
    groups = np.unique(labels, return_inverse=True)[1]
    sizes = np.bincount(groups)
    inside = active.T.astype(np.float64) @ np.eye(len(sizes))[groups]
    table = np.stack([inside, sizes - inside], axis=1)  # (n_latents, 2, values)
    margin = table.sum(axis=2)
    information = _entropy(margin, n) + _entropy(sizes[None], n) - _entropy(table.reshape(len(table), -1), n)
    expected = np.zeros(len(table))
    for count in np.unique(margin[:, 0]):
        if 0 < count < n:
            expected[margin[:, 0] == count] = _expected(int(count), tuple(sizes.tolist()))
    most = (_entropy(margin, n) + _entropy(sizes[None], n)) / 2
    varies = (margin[:, 0] > 0) & (margin[:, 0] < n) & (len(sizes) > 1)
    return np.where(varies, (information - expected) / np.where(varies, most - expected, 1), 0.0)


@lru_cache(maxsize=2**14)
def _expected(count: int, sizes: tuple[int, ...]) -> float:
    """Mutual information expected by chance of `count` active cells and labels of these sizes; kept, because many share it."""
    from sklearn.metrics.cluster import expected_mutual_information  # slow to import

    active = np.diff(np.minimum(np.cumsum(sizes), count), prepend=0)  # only sums are read
    return float(expected_mutual_information(np.stack([active, np.array(sizes) - active]), sum(sizes)))


def _entropy(counts: np.ndarray, n: int) -> np.ndarray:
    """In nats, over the last axis."""
    p = counts / n
    return -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(axis=-1)
