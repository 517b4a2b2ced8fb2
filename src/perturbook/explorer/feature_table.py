"""Of every feature: how often it is active, in which cells, what it tells best, how stable it is, and what it is near to.

Source: `concepts.md` sections 7 and 8.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from perturbook.explorer.rounding import digits
from perturbook.explorer.subject import Subject

NEAREST, QUARTILES = 6, (25, 50, 75)


def activity(uids: Sequence[str], codes: np.ndarray) -> pd.DataFrame:
    """Index uid: cells in which each feature is active, their share of all, mean and largest code of the active ones.

    Args:
        uids: of the features.
        codes: `(cells, features)`, none negative.
    """
    active = (codes > 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = codes.sum(axis=0, dtype=float) / np.where(active, active, np.nan)
    return pd.DataFrame(
        {
            "active": active,
            "share": digits(active / len(codes)),
            "mean_code": digits(mean),
            "largest_code": digits(np.where(active, codes.max(axis=0), np.nan)),
        },
        index=pd.Index(uids, name="uid"),
    )


def entries(uids: Sequence[str], codes: np.ndarray) -> pd.DataFrame:
    """One row per cell and feature that is active in it: uid, cell, code."""
    feature, cell = np.nonzero(codes.T)
    return pd.DataFrame(
        {"uid": np.array(uids, object)[feature], "cell": cell, "code": digits(codes[cell, feature])}
    )


def groups(uids: Sequence[str], codes: np.ndarray, subject: Subject) -> pd.DataFrame:
    """One row per feature and value of a label: cells, those in which it is active, their share, quartiles of their codes."""
    rows = []
    for label in subject.labels:
        of = subject.adata.obs[label].to_numpy(str)
        for value in sorted(set(of)):
            own = codes[of == value]
            for uid, column in zip(uids, own.T, strict=True):
                above = column[column > 0]
                quartiles = np.percentile(above, QUARTILES) if len(above) else [np.nan] * 3
                share = len(above) / len(column)
                rows.append((uid, label, value, len(column), len(above), share, *quartiles))
    names = ["uid", "label", "value", "cells", "active", "share", "lower", "median", "upper"]
    made = pd.DataFrame(rows, columns=names)
    made[names[5:]] = digits(made[names[5:]])
    order = {uid: at for at, uid in enumerate(uids)}
    return made.sort_values("uid", key=lambda of: of.map(order), kind="stable", ignore_index=True)


def best_labels(uids: Sequence[str], codes: np.ndarray, subject: Subject) -> pd.DataFrame:
    """Index uid: label and value that "active" tells with the highest F1 on validation cells, and its F1 on test cells.

    Empty text and NaN where the feature is active in no validation cell. The first of equals.
    """
    valid, test = (subject.part == one for one in ("valid", "test"))
    best = np.full(len(uids), 0.0)
    made = pd.DataFrame({"label": "", "value": "", "f1": np.nan}, index=pd.Index(uids, name="uid"))
    for label in subject.labels:
        of = subject.adata.obs[label].to_numpy(str)
        for value in sorted(set(of)):
            f1 = _f1(codes[valid] > 0, of[valid] == value)
            better = f1 > best
            best = np.where(better, f1, best)
            made.loc[better, "label"], made.loc[better, "value"] = label, value
            made.loc[better, "f1"] = digits(_f1(codes[test] > 0, of[test] == value))[better]
    return made


def stability(atoms: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Mean cosine of each atom with its match in other trainings, matched one to one, `(atoms,)`; NaN without any.

    Args:
        atoms: `(atoms, d)`.
        others: of trainings that differ in the seed, `(atoms, d)` each.
    """
    if not len(others):
        return np.full(len(atoms), np.nan)
    found = []
    for other in others:
        cosines = unit(atoms) @ unit(other).T
        rows, columns = linear_sum_assignment(cosines, maximize=True)
        found.append(cosines[rows, columns])
    return digits(np.mean(found, axis=0))


def near(uids: Sequence[str], atoms: np.ndarray) -> pd.DataFrame:
    """The nearest other features of each by cosine of atoms `(features, d)`: uid, other, cosine."""
    cosines = unit(atoms) @ unit(atoms).T
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, : min(NEAREST, len(uids) - 1)]
    names = np.array(uids, object)
    return pd.DataFrame(
        {
            "uid": np.repeat(names, order.shape[1]),
            "other": names[order.ravel()],
            "cosine": digits(np.take_along_axis(cosines, order, axis=1).ravel()),
        }
    )


def unit(atoms: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True)


def _f1(said: np.ndarray, is_so: np.ndarray) -> np.ndarray:
    both = said.sum(axis=0) + is_so.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(both > 0, 2 * said[is_so].sum(axis=0) / both, np.nan)
