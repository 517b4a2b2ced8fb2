"""What trains every model of this project: one loop on Lightning Fabric, exact to resume, quiet, and short.

Importing this package loads torch; Lightning is loaded by the first `fit`.
"""

from perturbook.models.training.batches import Shuffled
from perturbook.models.training.fit import fit
from perturbook.models.training.history import History
from perturbook.models.training.not_finite import NotFinite
from perturbook.models.training.settings import Settings

__all__ = ["History", "NotFinite", "Settings", "Shuffled", "fit"]
