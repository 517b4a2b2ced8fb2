"""Batches of training examples: which rows, and which bootstrap of their controls, as a function of seed and epoch alone."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from perturbook.models.scdca.config import Config
from perturbook.models.scdca.profiles import Controls, Examples
from perturbook.models.scgpt.binning import bin_values
from perturbook.models.scgpt.model import ScGPT
from perturbook.models.training.batches import Made


class Batch(NamedTuple):
    """Inputs and targets of some conditions."""

    gene_ids: Tensor
    """`(conditions, 1 + genes)` int64, `<cls>` first."""
    values: Tensor
    """`(conditions, 1 + genes)` float32."""
    e: Tensor
    """`(conditions, m)` float32."""
    before: Tensor
    """Control profile, `(conditions, genes)` float32."""
    target: Tensor
    """`(conditions, genes)` float32; empty where nothing is known."""


@dataclass(frozen=True)
class Reader:
    """How a backbone is shown a profile."""

    ids: np.ndarray
    """Token ids of the panel, `(genes,)`."""
    cls_id: int
    cls_value: float
    """Value of `<cls>`: that of pre-training where bins enter, 0 where expression does, as upstream's fine-tuning has it."""
    n_bins: int
    """Bins of the backbone; 0 where expression enters as it is."""

    @classmethod
    def of(cls, backbone: ScGPT, config: Config, ids: np.ndarray) -> "Reader":
        """For this backbone and this kind of input."""
        binned, sizes = config.values == "bins", backbone.sizes
        value = sizes.pad_value if binned else 0.0
        return cls(ids, backbone.vocabulary.cls, value, sizes.n_bins if binned else 0)

    def read(
        self, before: np.ndarray, e: np.ndarray, target: np.ndarray, genes: np.ndarray | None = None
    ) -> Batch:
        """A batch from control profiles `(conditions, genes)`; only the panel's `genes` (positions) where given.

        Bins are taken over the whole panel, so that a gene's bin does not depend on which others are shown.
        """
        values = np.stack([bin_values(row, n_bins=self.n_bins) for row in before]) if self.n_bins else before
        ids = self.ids
        if genes is not None:
            ids, values, before, target = ids[genes], values[:, genes], before[:, genes], target[:, genes]
        rows = len(before)
        return Batch(
            torch.from_numpy(np.hstack([[self.cls_id], ids])).expand(rows, -1).contiguous(),
            torch.from_numpy(np.hstack([np.full((rows, 1), self.cls_value), values]).astype(np.float32)),
            torch.from_numpy(np.ascontiguousarray(e, dtype=np.float32)),
            torch.from_numpy(np.ascontiguousarray(before, dtype=np.float32)),
            torch.from_numpy(np.ascontiguousarray(target, dtype=np.float32)),
        )


@dataclass(frozen=True)
class Bootstrapped:
    """`batches(seed, epoch)` of training examples with fresh controls and, where asked for, a fresh subset of genes."""

    examples: Examples
    controls: Controls
    e: np.ndarray
    """Embedding of each example's condition, `(conditions, m)`."""
    reader: Reader
    size: int
    """Conditions per batch."""
    genes: int = 0
    """Genes shown per step, drawn anew; 0 shows the whole panel. Attention then costs less; prediction shows all."""

    def __call__(self, seed: int, epoch: int) -> Made:
        """The batches of an epoch."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self.examples))
        plans = [(seed, epoch, order[at : at + self.size]) for at in range(0, len(order), self.size)]
        return Made(plans, self._make)

    def _make(self, plan: tuple[int, int, np.ndarray]) -> Batch:
        seed, epoch, rows = plan
        contexts = self.examples.conditions["context"].to_numpy(str)[rows]
        before = np.stack(
            [
                self.controls.bootstrap(context, np.random.default_rng([seed, epoch, int(row), 1]))
                for context, row in zip(contexts, rows, strict=True)
            ]
        )
        genes, n = None, before.shape[1]
        if 0 < self.genes < n:
            genes = np.sort(
                np.random.default_rng([seed, epoch, int(rows[0]), 2]).permutation(n)[: self.genes]
            )
        return self.reader.read(before, self.e[rows], self.examples.target[rows], genes)
