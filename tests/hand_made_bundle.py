"""A bundle small enough to score by hand: contexts a and b, three genes, conditions a|x|1, a|y|1 and b|x|1.

In context a the other condition is the rest that weights are told from; context b has none.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from perturbook.evaluation import Bundle, Predicted, Truth

KEYS = ["a|x|1", "a|y|1", "b|x|1"]
GENES = ["G0", "G1", "G2"]
MEAN = np.array([[2.0, 2, 5], [0, 1, 0], [1, 1, 6]])
CONTROL = np.array([[1.0, 2, 3], [0, 1, 5]])
DIFFERENT = np.array([[1, 0, 1], [1, 1, 1], [0, 0, 0]], np.int8)
PREDICTED = np.array([[3.0, 2, 4], [2, 2, 5], [0, 1, 5]])


def truth(n_cells=(5, 6, 7)):
    """Truth with control halves half a unit apart in the first gene, and two cells per condition on one PCA axis."""
    n, halves = len(KEYS), np.zeros((len(KEYS), 20, 3))
    apart = np.array([[0.5, 0, 0], [0, 0, 0]])
    controls = {
        "mean": CONTROL,
        "mean_a": CONTROL + apart,
        "mean_b": CONTROL - apart,
        "variance": np.ones((2, 3)),
        "halves": np.repeat(apart[:, None], 20, axis=1),
        "n": np.array([4, 4]),
        "n_a": np.array([2, 2]),
    }
    obs = pd.DataFrame(
        {
            "context": ["a", "a", "b"],
            "perturbation": ["x", "y", "x"],
            "dose_um": 1.0,
            "fold": 0,
            "n_cells": n_cells,
            "kind": "drug",
        },
        index=pd.Index(KEYS, name="condition"),
    )
    return Truth(
        obs=obs,
        genes=np.array(GENES),
        mean=MEAN,
        variance=np.array([[1.0, 2, 3]] * n),
        halves=halves,
        q=np.tile([0.0, 0.25, 1.0], (n, 1)),
        significant={name: DIFFERENT for name in ("all", "a", "b")},
        deg={source: np.tile([2, 0, 1], (n, 1)) for source in ("split_half", "test_truth", "train_visible")},
        coordinates=np.array([[[0.0], [2.0]]] * n),
        pca_mean=np.zeros(3),
        loadings=np.array([[1.0], [0.0], [0.0]]),
        controls=controls,
        others={"n": np.zeros(2, int), "mean": np.full((2, 3), np.nan), "variance": np.full((2, 3), np.nan)},
        contexts=np.array(["a", "b"]),
        centroid=np.ones((1, 3)),
        facts={"page": "by-hand", "setting": "none", "seed": 0, "scale": "log1p", "panel_hash": "0" * 64},
    )


def of_cells(**changes):
    """A predictor that generated four cells per condition; `mean_split` was made from the shown controls."""
    predicted = Predicted(
        name="cells",
        title="By hand",
        role="model",
        mean=PREDICTED,
        mean_split=PREDICTED + np.array([[0.5, 0, 0], [0.5, 0, 0], [0, 0, 0]]),
        variance=np.ones((3, 3)),
        n_cells=np.array([4, 4, 4]),
        coordinates=np.array([[[1.0], [3.0]]] * 3),
        significant=np.array([[0, 1, 1], [1, 0, 0], [1, 1, 0]], np.int8),
    )
    return replace(predicted, **changes)


def bundle(*predictions, n_cells=(5, 6, 7), manifest=None):
    """The truth above beside `predictions`, or beside `of_cells()` alone."""
    return Bundle(truth(n_cells), list(predictions) or [of_cells()], manifest or {})


def value(scores, metric, condition, method="cells", column="value"):
    """One entry of a long table of scores."""
    rows = scores[
        (scores["metric"] == metric) & (scores["condition"] == condition) & (scores["method"] == method)
    ]
    assert len(rows) == 1
    return rows[column].iloc[0]
