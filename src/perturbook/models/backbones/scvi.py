"""scVI, the second backbone: a variational autoencoder of counts, trained and run through scvi-tools.

The encoder reads log1p of the counts of a fixed list of genes and gives a normal posterior; the embedding is its mean. The
decoder turns a latent into shares of the counts per gene. Source: Lopez et al. 2018 (doi 10.1038/s41592-018-0229-2);
`concepts.md` section 4, point 6. Defaults are those of scvi-tools: one hidden layer of 128, 10 latents, zero-inflated
negative binomial, one dispersion per gene.
"""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from anndata import AnnData

from perturbook.data.schema import DEPTH
from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.models.backbones.backbone import recipe
from perturbook.models.backbones.scvi_counts import counts_of
from perturbook.models.backbones.scvi_files import read, write
from perturbook.models.backbones.scvi_quiet import quiet

BLOCK = 128
"""Cells per pass, always that many: a short block is filled with zeros, so that a cell's sums never depend on its company."""
SIZES = {"n_hidden": 128, "n_layers": 1, "gene_likelihood": "zinb"}
"""What scvi-tools takes by default, written out because a stored model must not change with it."""


class ScviBackbone:
    """A trained scVI model of fixed genes.

    `qz = N(mu(log1p x), sigma(log1p x))`, embedding `z = mu`; mean expression `E[x] = l * softmax(h(z, batch)) * (1 - pi)`
    with library `l` and dropout probability `pi`. The batch reaches the decoder alone, so an embedding does not depend on it.
    """

    name = "scvi"
    title = "scVI"
    key = "X_scVI"

    def __init__(self, module: torch.nn.Module, genes: list[str], batches: list[str], card: dict):
        """Wrap a trained `scvi.module.VAE`; use `fit` or `load`.

        Args:
            module: the network; put into evaluation mode.
            genes: symbols, in the order of the network's input (genes,).
            batches: labels of the batches, one label where training knew none.
            card: how it was trained: seed, epochs, cells, loss per epoch.
        """
        self.module, self.genes, self.batches, self.card = module.eval(), genes, batches, card

    @property
    def width(self) -> int:
        """Number of latents."""
        return self.module.n_latent

    @property
    def settings(self) -> dict:
        """How it was trained, without the curve."""
        return {name: value for name, value in self.card.items() if name != "train_loss"}

    @cached_property
    def identity(self) -> str:
        """sha256 over genes, batches and weights: two models with one identity give the same embeddings."""
        total = hashlib.sha256("\n".join([*self.genes, "", *self.batches]).encode())
        for name, tensor in sorted(self.module.state_dict().items()):
            total.update(name.encode() + tensor.contiguous().numpy().tobytes())
        return total.hexdigest()

    @classmethod
    def fit(
        cls,
        adata: AnnData,
        n_latent: int = 10,
        epochs: int = 100,
        seed: int = 0,
        batch_key: str | None = None,
    ) -> "ScviBackbone":
        """Train on all cells of `adata` and all its genes; the cells themselves are left as they are.

        Args:
            adata: counts in `X` (cells, genes); every cell with at least one count.
            n_latent: width of the embedding.
            epochs: passes over the cells; nothing is held out and nothing stops earlier.
            seed: decides initial weights, order of cells, dropout and sampling. Two fits with one seed are identical.
            batch_key: column of obs with the batch of each cell, given to the decoder; none where None.

        Raises:
            InputError: `X` holds no counts, a cell has none, or the column is missing or incomplete.
            ConfigError: `n_latent` or `epochs` is below 1, or there are fewer than two cells.

        Source: scvi-tools 1.4.2; that nothing is held out and the number of epochs are our choice (its own rule gives 400
        epochs to anything below 20,000 cells).
        """
        if n_latent < 1 or epochs < 1:
            raise ConfigError(f"n_latent is {n_latent} and epochs is {epochs}; both must be at least 1.")
        if adata.n_obs < 2:
            raise ConfigError(
                f"scVI normalises over the cells of a batch, so it needs two cells; there are {adata.n_obs}."
            )
        batch = _batch_of(adata, batch_key)
        counts = counts_of(adata, list(adata.var_names))
        cells = AnnData(counts, adata.obs[[]].assign(batch=batch), adata.var[[]])
        with quiet(seed):
            from scvi.model import SCVI

            SCVI.setup_anndata(cells, batch_key="batch")
            model = SCVI(cells, n_latent=n_latent, **SIZES)
            model.train(
                max_epochs=epochs,
                accelerator="cpu",
                train_size=1.0,
                batch_size=_batch_size(cells.n_obs),
                enable_progress_bar=False,
                logger=None,
            )
        loss = model.history["train_loss"].iloc[:, 0].astype(float).tolist()
        card = {"seed": seed, "epochs": epochs, "cells": cells.n_obs, "train_loss": loss}
        return cls(model.module.cpu(), list(cells.var_names), sorted(set(batch)), card)

    @torch.no_grad()
    def encode(self, cells: AnnData) -> np.ndarray:
        """Posterior mean of each cell, `(cells, width)` float32; a cell's row does not depend on the other cells.

        Args:
            cells: counts in `X` `(cells, genes)`; genes are taken by name, in any order, others are ignored.

        Raises:
            InputError: `X` holds no counts, a cell has none of the model's genes, or genes of the model are missing.
        """
        counts, found = counts_of(cells, self.genes), np.empty((cells.n_obs, self.width), dtype=np.float32)
        for start in range(0, cells.n_obs, BLOCK):
            part = counts[start : start + BLOCK].toarray()
            block = torch.zeros(BLOCK, len(self.genes))
            block[: len(part)] = torch.log1p(torch.from_numpy(part))
            posterior, _ = self.module.z_encoder(block, torch.zeros(BLOCK, 1))
            found[start : start + len(part)] = posterior.loc[: len(part)].numpy()
        return found

    @torch.no_grad()
    def decode(
        self, latent: np.ndarray, library: np.ndarray | None = None, batch: str | None = None
    ) -> np.ndarray:
        """Mean expression of latents in counts, `(cells, genes)` float32, genes as in `genes`.

        Args:
            latent: `(cells, width)`.
            library: total counts of each cell, `(cells,)`; 10,000 for every cell where None.
            batch: the batch it is decoded as, one for all cells; may be left out where the model knows one only.

        Raises:
            ShapeError: `latent` or `library` has another shape.
            InputError: the batch is unknown, or left out where there are several; a library is not positive.
        """
        latent = np.asarray(latent, dtype=np.float32)
        if latent.ndim != 2 or latent.shape[1] != self.width:
            raise ShapeError(f"latent has shape {latent.shape}, expected (cells, {self.width}).")
        library = np.full(len(latent), DEPTH) if library is None else np.asarray(library, dtype=float)
        if library.shape != (len(latent),):
            raise ShapeError(
                f"library has shape {library.shape}, expected ({len(latent)},), one total per cell."
            )
        if not (np.isfinite(library) & (library > 0)).all():
            raise InputError("A library is not positive and finite; it is the total count of a cell.")
        index = torch.full((len(latent), 1), self._batch_index(batch))
        log_library = torch.from_numpy(np.log(library).astype(np.float32))[:, None]
        made = self.module.generative(torch.from_numpy(latent), log_library, index)
        return made["px"].mean.numpy()

    def _batch_index(self, batch: str | None) -> int:
        if batch is None and len(self.batches) == 1:
            return 0
        if batch not in self.batches:
            raise InputError(f"batch is {batch!r}; the model was trained on {', '.join(self.batches)}.")
        return self.batches.index(batch)

    def save(self, folder: str | Path) -> None:
        """Write `model.safetensors` and `scvi.json` into `folder`, which is made where it is missing."""
        settings = {"n_latent": self.width, **{name: getattr(self.module, name) for name in SIZES}}
        write(Path(folder), self.module.state_dict(), settings, self.genes, self.batches, self.card)

    @classmethod
    def load(cls, folder: str | Path) -> "ScviBackbone":
        """Read what `save` wrote. Nothing is unpickled, and every tensor must be there, in its shape.

        Raises:
            InputError: a file is missing or not what `save` writes.
        """
        return cls(*read(Path(folder)))


def _batch_size(n_cells: int) -> int:
    """128, the size scvi-tools takes, or slightly less where the last batch would be one cell, which has no variance."""
    return next(size for size in range(128, 0, -1) if n_cells % size != 1)


def _batch_of(adata: AnnData, batch_key: str | None) -> np.ndarray:
    """Label of each cell's batch, `(cells,)`; one label for all where there is no column."""
    if batch_key is None:
        return np.full(adata.n_obs, "all")
    if batch_key not in adata.obs:
        raise InputError(
            f"obs has no column {batch_key!r} for batch_key; it has {', '.join(adata.obs.columns)}."
        )
    if missing := int(adata.obs[batch_key].isna().sum()):
        raise InputError(
            f"{missing} cells have no label in obs[{batch_key!r}]; leave them out or label them."
        )
    return adata.obs[batch_key].astype(str).to_numpy()


@recipe("scvi", title="scVI", fitted=True)
def fitted(cells: AnnData, seed: int = 0, **options) -> ScviBackbone:
    """Train on `cells` (cells, genes); options are those of `ScviBackbone.fit`."""
    return ScviBackbone.fit(cells, seed=seed, **options)
