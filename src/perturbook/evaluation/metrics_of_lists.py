"""Registered metrics of short gene lists: the base metric over the 20 or 50 genes that respond most to the condition."""

import numpy as np

from perturbook.evaluation import mean_profile as mp
from perturbook.evaluation.metric import METRICS, Metric
from perturbook.evaluation.view import View

LENGTHS = (20, 50)
SPLIT = "control, truth and prediction from different halves"
CENTROID = "mean of the training perturbation centroids"


def _r2(v: View, genes: np.ndarray) -> np.ndarray:
    return mp.r2_mean(mp.take(v.y_listed, genes), mp.take(v.yhat, genes))


def _rmse(v: View, genes: np.ndarray) -> np.ndarray:
    return mp.rmse_mean(mp.take(v.y_listed, genes), mp.take(v.yhat, genes))


def _control(v: View, genes: np.ndarray) -> np.ndarray:
    truth, hat = mp.take(v.y_listed - v.mu0_kept, genes), mp.take(v.yhat_split - v.mu0_shown, genes)
    return mp.pearson_delta(truth, hat, mp.constant_guard(v.mu0))


def _centroid(v: View, genes: np.ndarray) -> np.ndarray:
    truth, hat = mp.take(v.y_listed - v.centroid, genes), mp.take(v.yhat - v.centroid, genes)
    return mp.pearson_delta(truth, hat, mp.constant_guard(v.mu0))


FAMILIES = {
    "r2_mean": {
        "title": "R² of means",
        "on_genes": _r2,
        "better": "up",
        "trap": "The denominator is the spread of {k} numbers; values below -1 are ordinary.",
    },
    "rmse_mean": {
        "title": "RMSE of means",
        "on_genes": _rmse,
        "better": "down",
        "trap": "Compares conditions of unlike size: the strongest {k} genes of a strong drug move farther.",
    },
    "pearson_delta_ctrl": {
        "title": "Pearson of change",
        "on_genes": _control,
        "better": "up",
        "reference": SPLIT,
        "splits_controls": True,
        "trap": "Genes chosen on the scored cells would have inflated effects; these are chosen on the other half.",
    },
    "pearson_delta_centroid": {
        "title": "Pearson of change from the training centroid",
        "on_genes": _centroid,
        "better": "up",
        "reference": CENTROID,
        "trap": "The {k} genes stand out from control, not from other perturbations, and may be shared by all.",
    },
}


def _enter(base: str, k: int, *, title: str, on_genes, trap: str, **fields) -> None:
    """Register `<base>_deg<k>`."""

    def compute(v: View) -> np.ndarray:
        return on_genes(v, v.deg(k))

    compute.__doc__ = f"`{base}` over the top {k} genes, `(conditions,)`. Source: metrics.md section 3.6."
    METRICS.add(
        f"{base}_deg{k}",
        Metric(
            key=f"{base}_deg{k}",
            title=f"{title}, top {k} DE genes",
            formula=rf"\text{{the base metric over the {k} genes of largest }}|t|",
            best=1.0 if fields["better"] == "up" else 0.0,
            trap=trap.format(k=k),
            undefined=f"no list of {k} genes, or no change over them",
            compute=compute,
            k=lambda v: k,
            of_list=True,
            drops_targets=True,
            first_halving=True,
            **fields,
        ),
    )


for _base, _family in FAMILIES.items():
    for _k in LENGTHS:
        _enter(_base, _k, **_family)
