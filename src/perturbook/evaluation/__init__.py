"""Evaluation: stored predictions in, honest numbers out. It knows bundles and no model."""

from perturbook.evaluation.bundle import (
    CEILING,
    CEILINGS,
    INTERPOLATED,
    Bundle,
    read_bundle,
    write_bundle,
)
from perturbook.evaluation.comparisons import comparisons
from perturbook.evaluation.measure import build_truth
from perturbook.evaluation.metric import METRICS
from perturbook.evaluation.predicted import Predicted
from perturbook.evaluation.score import compare, highest_dose, score, summarise
from perturbook.evaluation.truth import Truth
from perturbook.evaluation.view import Options
from perturbook.registry import import_files

import_files(__import__(__name__, fromlist=["_"]))

__all__ = [
    "CEILING",
    "CEILINGS",
    "INTERPOLATED",
    "METRICS",
    "Bundle",
    "Options",
    "Predicted",
    "Truth",
    "build_truth",
    "compare",
    "comparisons",
    "highest_dose",
    "read_bundle",
    "score",
    "summarise",
    "write_bundle",
]
