"""What a perturbation looks like to a model: molecules, genes, the reader's own vectors, and control arms. One file each."""

from perturbook.models.molecules.encoder import ENCODERS, Encoder, encoder
from perturbook.registry import import_files

import_files(__import__(__name__, fromlist=["_"]))

__all__ = ["ENCODERS", "Encoder", "encoder"]
