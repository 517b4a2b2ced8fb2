"""Backbones: everything that embeds cells, behind one interface. A new backbone is one file here.

Frozen: `small`, the checkpoint of this project, and `random`, the same architecture with random weights. Fitted on the
cells they are given: `pca`, `hvg`, `scvi`. Imported at first use, because torch takes a second to load.
"""

from perturbook.models.backbones.backbone import BACKBONES, Backbone, Recipe, recipe
from perturbook.registry import import_files

import_files(__import__(__name__, fromlist=["_"]))

__all__ = ["BACKBONES", "Backbone", "Recipe", "recipe"]
