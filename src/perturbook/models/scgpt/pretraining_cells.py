"""Which cells a model is pre-trained on, and over which vocabulary.

Never a cell of a data set that a page of this book holds cells out from: unperturbed pbmc3k, and worlds of the simulators
under seeds that no page uses. Source: `simulators.md` section 4, `datasets.md`; which worlds and how many cells is our choice.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from perturbook import data
from perturbook.data.schema import GENETIC
from perturbook.models.scgpt.vocabulary import Vocabulary

REGISTRY_GENES = (
    "kang2018-mini",
    "l1000-mini",
    "mcfaline2023-mini",
    "norman2019-mini",
    "pbmc3k",
    "pbmc68k-reduced",
)
"""Data sets whose gene names, measured and perturbed, enter the vocabulary; of their cells only those of pbmc3k are seen."""


@dataclass(frozen=True)
class Source:
    """Cells to train on: a registry entry, its options, and how many of its cells, drawn at random; None takes all."""

    dataset: str
    options: dict[str, Any] = field(default_factory=dict)
    cells: int | None = None

    @property
    def label(self) -> str:
        """Name of these cells, such as `simulated-drugs seed=1001`."""
        return " ".join([self.dataset, *(f"{key}={value}" for key, value in self.options.items())])


SOURCES = {
    "small": (
        Source("pbmc3k"),
        *(Source("simulated-drugs", {"seed": seed}, 450) for seed in (1001, 1002, 1003)),
        *(Source("simulated-pairs", {"seed": seed}, 650) for seed in (1001, 1002)),
    ),
    "smoke": (Source("simulated-drugs", {"seed": 1001, "size": "small"}),),
}
"""What a model of each size is trained on."""


@dataclass(frozen=True)
class Cells:
    """Cells of all sources in one matrix over the vocabulary."""

    matrix: sp.csr_matrix
    """Raw counts `(cells, tokens)`; the column of a gene is its token id."""
    names: np.ndarray
    """Names of cells `(cells,)`, unique: label of the source and obs name."""
    source: np.ndarray
    """Label of the source of each cell `(cells,)`."""
    context: np.ndarray
    """Cell type or line of each cell `(cells,)`."""
    vocabulary: Vocabulary
    trained_on: tuple[dict[str, Any], ...]
    """Per source `dataset`, `options`, `sha256`, `contexts`, `cells`, and `obs_names_sha256` of the sorted names."""

    @property
    def lengths(self) -> np.ndarray:
        """Expressed genes of each cell, `(cells,)`."""
        return np.diff(self.matrix.indptr)

    def held_out(self, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the training and the validation cells: the same share of every source, drawn by `seed`."""
        rng = np.random.default_rng([seed, 1])
        valid = [
            rng.permutation(np.flatnonzero(self.source == one))[: max(1, round(share * n))]
            for one, n in zip(*np.unique(self.source, return_counts=True), strict=True)
        ]
        valid = np.sort(np.concatenate(valid))
        return np.setdiff1d(np.arange(len(self.names)), valid), valid


def load_cells(size: str, seed: int = 0) -> Cells:
    """Cells to pre-train a model of `size` on, with its vocabulary.

    The vocabulary of `small` is every gene of the registry's data sets and of the simulators, sorted; that of `smoke` the
    genes of its cells.

    Raises:
        DataUnavailable: a public file is not to be had.
    """
    loaded, simulated = [], set()
    for source in SOURCES[size]:
        extra = {"expectation": False} if data.DATASETS[source.dataset].synthetic else {}
        adata = data.load(source.dataset, **source.options, **extra)
        simulated |= genes_of(adata)
        if source.cells is not None:
            rng = np.random.default_rng([seed, 0, *source.label.encode()])
            adata = adata[np.sort(rng.choice(adata.n_obs, source.cells, replace=False))].copy()
        loaded.append(adata)
    registry = (
        set().union(*(genes_of(data.load(name)) for name in REGISTRY_GENES)) if size != "smoke" else set()
    )
    vocabulary = Vocabulary.of(sorted(registry | simulated))
    labels = [source.label for source in SOURCES[size]]
    n = [adata.n_obs for adata in loaded]
    return Cells(
        matrix=sp.vstack([_over(vocabulary, adata) for adata in loaded], format="csr"),
        names=np.concatenate(
            [label + " " + adata.obs_names.to_numpy(str) for label, adata in zip(labels, loaded, strict=True)]
        ),
        source=np.repeat(labels, n),
        context=np.concatenate([adata.obs["context"].to_numpy(str) for adata in loaded]),
        vocabulary=vocabulary,
        trained_on=tuple(_record(*pair) for pair in zip(SOURCES[size], loaded, strict=True)),
    )


def genes_of(adata: AnnData) -> set[str]:
    """Symbols of the measured genes, and of those perturbed where genes are what is perturbed."""
    genes = set(map(str, adata.var_names))
    treated = adata.obs[adata.obs["kind"].isin(GENETIC).to_numpy() & ~adata.obs["is_control"].to_numpy(bool)]
    return genes.union(*(str(name).split("+") for name in treated["perturbation"].unique()))


def _over(vocabulary: Vocabulary, adata: AnnData) -> sp.csr_matrix:
    """Counts `(cells, tokens)` with the columns of the vocabulary."""
    counts = sp.csr_matrix(adata.X)
    ids = vocabulary.ids_of(adata.var_names)
    moved = sp.csr_matrix(
        (counts.data, ids[counts.indices], counts.indptr), shape=(adata.n_obs, len(vocabulary))
    )
    moved.sort_indices()
    return moved


def _record(source: Source, adata: AnnData) -> dict[str, Any]:
    names = "\n".join(sorted(map(str, adata.obs_names)))
    return {
        "dataset": source.dataset,
        "options": dict(source.options),
        "sha256": data.checksum(source.dataset),
        "contexts": sorted(map(str, adata.obs["context"].unique())),
        "cells": int(adata.n_obs),
        "obs_names_sha256": hashlib.sha256(names.encode()).hexdigest(),
    }
