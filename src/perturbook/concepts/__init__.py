"""Concepts: what the embedding of a cell is made of. Sparse autoencoders, and plainer dictionaries behind the same interface.

Importing this package loads nothing heavy; a name loads torch at its first use.
"""

import importlib
from typing import Any

_HOMES = {
    "TopKSAE": "topk_sae",
    "Dictionary": "dictionary",
    "train": "train_sae",
    "train_many": "train_sae",
    "SAESettings": "sae_settings",
    "save_sae": "sae_artifact",
    "load_sae": "sae_artifact",
    "DICTIONARIES": "dictionaries",
    "fit_dictionary": "dictionaries",
    "quality": "fidelity",
    "Library": "gene_sets",
    "enrich": "enrichment",
    "overrepresented": "overrepresentation",
    "annotated": "matched_null",
    "attribute": "attribution",
    "AttributionSettings": "attribution_settings",
    "Cells": "embedded_cells",
    "Screen": "gradient_screen",
    "ScGPTSwaps": "scgpt_swaps",
    "ScviSwaps": "scvi_swaps",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name from its file at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
