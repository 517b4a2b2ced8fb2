"""Models: floors, simple opponents and the oracle, behind one protocol. A new model is one file here."""

from perturbook.models.protocol import MODELS, Prediction, Query, Training, model
from perturbook.registry import import_files

import_files(__import__(__name__, fromlist=["_"]))

__all__ = ["MODELS", "Prediction", "Query", "Training", "model"]
