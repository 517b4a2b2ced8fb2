"""Batches of pre-training: cells of like length together, tokens, ties and hidden genes drawn anew in every epoch."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from perturbook.models.scgpt.objective import RATIOS, Batch, make_batch
from perturbook.models.scgpt.pretraining_cells import Cells
from perturbook.models.scgpt.tokens import pad, tokenise
from perturbook.models.training.batches import Made

POOL = 16
"""Batches within which cells are sorted by length: wide enough to leave little padding, narrow enough to stay random."""


class Plan(NamedTuple):
    """What one batch is made of."""

    rows: np.ndarray
    """Rows of its cells."""
    ratio: float
    """Share of genes to hide."""
    seed: int
    """Decides ties, kept genes and hidden genes; one per epoch."""


@dataclass(frozen=True)
class PretrainingBatches:
    """`batches(seed, epoch)` for `perturbook.models.training.fit`. Source: our choice, after `scgpt.md` section 7."""

    cells: Cells
    rows: np.ndarray
    """Rows to train on."""
    size: int
    """Cells per batch."""
    max_length: int
    """Most tokens of a cell, `<cls>` among them; others of its genes are drawn in the next epoch."""
    form: str
    """`generative`, `masked` or `both`."""

    def __call__(self, seed: int, epoch: int) -> Made:
        """Return the batches of `epoch`."""
        rng = np.random.default_rng([seed, epoch])
        rows = rng.permutation(self.rows)
        length = np.minimum(self.cells.lengths + 1, self.max_length)
        span = POOL * self.size
        pools = [rows[at : at + span] for at in range(0, len(rows), span)]
        rows = np.concatenate([pool[np.argsort(length[pool], kind="stable")] for pool in pools])
        parts = [rows[at : at + self.size] for at in range(0, len(rows), self.size)]
        of_epoch = int(rng.integers(2**62))
        plans = [Plan(part, float(rng.choice(RATIOS)), of_epoch) for part in parts]
        return Made([plans[i] for i in rng.permutation(len(plans))], self.make)

    def make(self, plan: Plan) -> Batch:
        """The batch of a plan."""
        cells, names = self.cells, list(self.cells.names[plan.rows])
        width = cells.matrix.shape[1]
        tokens = tokenise(
            cells.matrix[plan.rows],
            np.arange(width),
            names,
            cells.vocabulary,
            seed=plan.seed,
            max_length=self.max_length,
        )
        return make_batch(pad(tokens, cells.vocabulary.pad), names, plan.ratio, plan.seed, self.form)
