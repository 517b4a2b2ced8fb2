"""Models: floors, simple opponents and the oracle, behind one protocol. A new model is one file here.

What stands on torch lies in packages of its own, imported when asked for, because torch takes a second to load:
`scgpt` (the foundation model), `backbones` (everything that embeds cells), `training` (what trains all of them),
`molecules` (what a perturbation looks like) and `scdca` (the drug-conditional adapter).
"""

import importlib
from typing import Any

from perturbook.models.protocol import MODELS, Prediction, Query, Training, model
from perturbook.registry import import_files

import_files(__import__(__name__, fromlist=["_"]))

__all__ = ["MODELS", "Prediction", "Query", "Training", "embed", "model"]


def __getattr__(name: str) -> Any:
    """Import `embed` or a package of this folder at its first use."""
    if name == "embed":
        return importlib.import_module("perturbook.models.backbones.embed").embed
    if name in ("backbones", "molecules", "scdca", "scgpt", "training"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
