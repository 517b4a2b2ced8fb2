"""Registered metrics of gene sets: which genes differ from control in generated cells, and which in measured ones."""

import numpy as np

from perturbook.evaluation import de_agreement as de
from perturbook.evaluation.metric import metric
from perturbook.evaluation.view import View

_UNTESTED = "no generated cells, or fewer than measured ones"
_FIELDS = {
    "better": "up",
    "best": 1.0,
    "reference": "control, the same cells on both sides",
    "drops_targets": True,
    "needs_cells": True,
    "needs_spread": True,
    "first_halving": True,
}


def _sets(v: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Significant genes of truth and prediction, and where both were tested, `(conditions,)`."""
    tested = (v.significant >= 0).all(axis=1) & (v.significant_hat >= 0).all(axis=1)
    return v.kept_genes(v.significant), v.kept_genes(v.significant_hat), tested


def _overlap(v: View, k: int | None) -> np.ndarray:
    truth, hat, tested = _sets(v)
    return np.where(tested, de.overlap(v.y - v.mu0, truth, v.yhat - v.mu0, hat, k), np.nan)


@metric(
    "de_overlap_20",
    title="Overlap of the top 20 DE genes",
    formula=r"|\mathrm{top}_{20}(\hat X)\cap\mathrm{top}_{20}(X)|/20",
    trap="By chance 20 in the number of genes; p-values of generated cells measure the generator's variance.",
    undefined=f"{_UNTESTED}, or fewer than 20 genes differ in the truth",
    k=lambda v: 20,
    **_FIELDS,
)
def de_overlap_20(v: View) -> np.ndarray:
    """Shared genes of the 20 with the largest significant change, `(conditions,)`. Source: metrics.md section 5.4."""
    return _overlap(v, 20)


@metric(
    "de_overlap_50",
    title="Overlap of the top 50 DE genes",
    formula=r"|\mathrm{top}_{50}(\hat X)\cap\mathrm{top}_{50}(X)|/50",
    trap="By chance 50 in the number of genes; defined only where 50 genes differ, so on strong conditions.",
    undefined=f"{_UNTESTED}, or fewer than 50 genes differ in the truth",
    k=lambda v: 50,
    **_FIELDS,
)
def de_overlap_50(v: View) -> np.ndarray:
    """Shared genes of the 50 with the largest significant change, `(conditions,)`. Source: metrics.md section 5.4."""
    return _overlap(v, 50)


@metric(
    "de_overlap_at_n",
    title="Overlap of all DE genes",
    formula=r"|\mathrm{top}_{n}(\hat X)\cap\mathrm{top}_{n}(X)|/n,\;n=\text{DE genes of }X",
    trap="Rests on as many genes as differ, 1 or 1,000; a strong condition is easy by chance.",
    undefined=f"{_UNTESTED}, or no gene differs in the truth",
    k=lambda v: v.kept_genes(v.significant).sum(axis=1),
    **_FIELDS,
)
def de_overlap_at_n(v: View) -> np.ndarray:
    """Shared genes of as many as differ in the truth, `(conditions,)`. Source: metrics.md section 5.4."""
    return _overlap(v, None)


@metric(
    "de_sig_recall",
    title="Recall of DE genes",
    formula=r"|\hat S\cap S|/|S|",
    trap="Cells without variance make every gene significant, and recall perfect.",
    undefined=f"{_UNTESTED}, or no gene differs in the truth",
    **_FIELDS,
)
def de_sig_recall(v: View) -> np.ndarray:
    """Share of true significant genes found again, `(conditions,)`. Source: metrics.md section 5.4."""
    truth, hat, tested = _sets(v)
    return np.where(tested, de.recall(truth, hat), np.nan)


@metric(
    "de_sig_precision",
    title="Precision of DE genes",
    formula=r"|\hat S\cap S|/|\hat S|",
    trap="High for a generator so noisy that only the strongest genes stay significant.",
    undefined=f"{_UNTESTED}, or no gene differs in the prediction",
    **_FIELDS,
)
def de_sig_precision(v: View) -> np.ndarray:
    """Share of predicted significant genes that are true, `(conditions,)`. Source: metrics.md section 5.4."""
    truth, hat, tested = _sets(v)
    return np.where(tested, de.precision(truth, hat), np.nan)


@metric(
    "de_sign_agreement",
    title="Sign agreement of DE genes",
    formula=r"\#\{g\in\hat S\cap S\mid\hat d_g d_g>0\}/|\hat S\cap S|",
    trap="Of the genes found on both sides only; half of them agree by chance.",
    undefined=f"{_UNTESTED}, or no gene differs in both",
    **_FIELDS,
)
def de_sign_agreement(v: View) -> np.ndarray:
    """Share of genes significant in both with the same sign of change, `(conditions,)`. Source: metrics.md section 5.4."""
    truth, hat, tested = _sets(v)
    sign = de.sign_agreement(v.y - v.mu0, truth, v.yhat - v.mu0, hat)
    return np.where(tested, sign, np.nan)
