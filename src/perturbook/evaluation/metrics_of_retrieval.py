"""Registered metrics of retrieval: is a prediction nearest to its own truth among the conditions of its group?"""

import numpy as np

from perturbook.evaluation import retrieval
from perturbook.evaluation.metric import metric
from perturbook.evaluation.view import View

_ALONE = "no other condition of the same context and dose is tested"


def _k(v: View) -> np.ndarray:
    return retrieval.group_sizes(v.groups)


def _pds(v: View, norm: str) -> np.ndarray:
    if norm == "l2":  # a group shares its controls, so means are as far apart as effects
        return retrieval.pds_of(retrieval.leave_out(v.distances, v.y, v.yhat, v.dropped))
    return retrieval.pds(v.y - v.mu0, v.yhat - v.mu0, v.groups, norm=norm, without=v.dropped)


@metric(
    "nir",
    title="Retrieval (NIR)",
    formula=r"\#\{j\ne i:\lVert\hat y_i-y_j\rVert>\lVert\hat y_i-y_i\rVert\}/(N-1)",
    better="up",
    best=1.0,
    trap="0.5 for any predictor that gives every condition of a group the same profile.",
    undefined=_ALONE,
    k=_k,
)
def nir_of_group(v: View) -> np.ndarray:
    """Share of other truths of the context and dose farther than the own one, `(conditions,)`. Source: metrics.md 4."""
    return retrieval.nir_of(v.distances)


@metric(
    "rank_pred",
    title="Rank of the own prediction",
    formula=r"\#\{j\ne i:\lVert\hat y_j-y_i\rVert\le\lVert\hat y_i-y_i\rVert\}/(N-1)",
    better="down",
    best=0.0,
    trap="Compares predictions as seen from one truth; a predictor of one profile for all has 1, the worst.",
    undefined=_ALONE,
    k=_k,
)
def rank_pred(v: View) -> np.ndarray:
    """Share of other predictions as near to the truth as the own one, `(conditions,)`. Source: metrics.md section 4."""
    return retrieval.rank_pred_of(v.distances)


@metric(
    "pds_l1",
    title="Discrimination score, L1",
    formula=r"1-\#\{j\ne i:\lVert\hat y_i-y_j\rVert_1<\lVert\hat y_i-y_i\rVert_1\}/N",
    better="up",
    best=1.0,
    trap="0.5 + 1/(2N) for one profile for all; the perturbed genes stay out, or their own level would tell.",
    undefined=_ALONE,
    k=_k,
    drops_targets=True,
)
def pds_l1(v: View) -> np.ndarray:
    """Perturbation discrimination score by L1 distance, `(conditions,)`. Source: metrics.md section 4."""
    return _pds(v, "l1")


@metric(
    "pds_l2",
    title="Discrimination score, L2",
    formula=r"1-\#\{j\ne i:\lVert\hat y_i-y_j\rVert<\lVert\hat y_i-y_i\rVert\}/N",
    better="up",
    best=1.0,
    trap="A few highly expressed genes decide; blind to the size of the error.",
    undefined=_ALONE,
    k=_k,
    drops_targets=True,
)
def pds_l2(v: View) -> np.ndarray:
    """Perturbation discrimination score by Euclidean distance, `(conditions,)`. Source: metrics.md section 4."""
    return _pds(v, "l2")


@metric(
    "pds_cosine",
    title="Discrimination score, cosine",
    formula=r"1-\#\{j\ne i:\cos(\hat d_i,d_j)>\cos(\hat d_i,d_i)\}/N",
    better="up",
    best=1.0,
    trap="Blind to the size of the change; all effects share the noise of their controls.",
    undefined=_ALONE + ", or no change is predicted",
    reference="control, the same cells on both sides",
    k=_k,
    drops_targets=True,
)
def pds_cosine(v: View) -> np.ndarray:
    """Perturbation discrimination score by cosine of effects, `(conditions,)`. Source: metrics.md section 4."""
    return _pds(v, "cosine")
