"""`Predecessor`: what both share behind the protocol of this book. Fit on cells, then one generated cell per control cell.

Source: `perturbedvae.md` section 13; that every control cell is carried over from its own latent state is our choice.
"""

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from perturbook.data.schema import expression
from perturbook.errors import ConfigError
from perturbook.models.perturbed_vae.batches import Cells, tensor
from perturbook.models.perturbed_vae.codes import codes
from perturbook.models.perturbed_vae.predictor import FEW_GENES, cells_of
from perturbook.models.protocol import Prediction, Query, Training
from perturbook.models.training import Settings, fit
from perturbook.models.training.batches import Batches
from perturbook.models.training.recalled import digest, once


@dataclass
class Predecessor(ABC):
    """A generative model of cells and codes, with all that is fixed before training."""

    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes that replace those of `paper` and `small`."""
    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 1e-3
    final_share: float = 0.0
    """Share of the learning rate left at the last step, behind half a cosine (our choice; 1, as published, keeps it constant)."""
    clip: float | None = None
    """Largest norm of the gradient."""
    seed: int = 0

    paper: ClassVar[dict[str, int]]
    """Sizes of the paper."""
    small: ClassVar[dict[str, int]]
    """Those that differ with fewer than 1,000 genes. Source: our choice."""

    def __post_init__(self):
        """Raise ConfigError for an unknown size, or a batch size or a size below 1."""
        if unknown := sorted(set(self.sizes) - set(self.paper)):
            raise ConfigError(f"unknown size {unknown[0]!r}. Known: {', '.join(self.paper)}.")
        for name, value in {**self.sizes, "batch_size": self.batch_size}.items():
            if value < 1 or value != int(value):
                raise ConfigError(f"{name} is {value!r}; give a whole number from 1.")

    def fit(self, train: Training) -> "Predecessor":
        """Train on all cells that are shown; raises NotApplicable without a treated cell, or where doses vary."""
        cells, self.genes = self._cells(train)
        self.model, batches, loss = self._objective(cells, self._sizes(train))
        names = ("epochs", "learning_rate", "final_share", "clip", "seed")
        fixed = {name: getattr(self, name) for name in names}
        settings = Settings(**fixed, log_every=len(batches(self.seed, 0)))
        facts = [type(self).__name__, self.describe(train), self.genes]
        key = digest(json.dumps(facts), cells.arrays())
        code = inspect.getfile(type(self))
        self.history = once(self.model, key, lambda: fit(self.model, loss, batches, settings), code)
        return self

    def describe(self, train: Training) -> dict[str, Any]:
        """What `fit` would train, JSON-ready: sizes, and settings of the training."""
        return {**asdict(self), "sizes": self._sizes(train)}

    def _sizes(self, train: Training) -> dict[str, int]:
        return {**self.paper, **(self.small if train.cells.n_vars < FEW_GENES else {}), **self.sizes}

    def _cells(self, train: Training) -> tuple[Cells, list[str]]:
        """Training cells in the order of their names, and the perturbed genes."""
        return cells_of(train, "random", False)

    @abstractmethod
    def _objective(self, cells: Cells, sizes: dict[str, int]) -> tuple[nn.Module, Batches, Callable]:
        """The model, untrained, its batches, and its loss of (model, batch, step)."""

    @abstractmethod
    def _draw(self, x0: Tensor, library: Tensor, code: Tensor) -> Tensor:
        """A cell under a code `(n_perts,)` for each control cell `(cells, genes)` with `(cells,)` counts in all."""

    @torch.no_grad()
    def predict(self, query: Query) -> Prediction:
        """A cell per control cell of the context, for each condition; NaN where training never perturbed a gene of it.

        All conditions draw the same random numbers, and control cells come in the order of their names.
        """
        asked = codes(query.conditions["perturbation"].astype(str).to_numpy(), self.genes)
        controls = query.controls[np.argsort(query.controls.obs_names.to_numpy(str))]
        contexts = controls.obs["context"].astype(str).to_numpy()
        x0, library = sp.csr_matrix(expression(controls)), controls.obs["n_counts"].to_numpy(float)
        made = []
        for code, (context,) in zip(asked, query.group("context"), strict=True):
            own = contexts == str(context)
            if np.isnan(code).any():
                made.append(np.full((own.sum(), x0.shape[1]), np.nan, np.float32))
                continue
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                made.append(self._draw(tensor(x0[own]), tensor(library[own]), tensor(code)).numpy())
        return Prediction.from_cells(made)
