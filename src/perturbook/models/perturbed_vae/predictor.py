"""`Predictor`: PerturbedVAE behind the protocol of this book. Fit on cells, then predict conditions from control cells."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from perturbook.data.schema import CONTROL, expression
from perturbook.errors import NotApplicable
from perturbook.models.perturbed_vae.batches import Cells
from perturbook.models.perturbed_vae.codes import codes, genes_seen
from perturbook.models.perturbed_vae.config import Config
from perturbook.models.perturbed_vae.gene_features import GeneFeatures
from perturbook.models.perturbed_vae.generate import Start, generate
from perturbook.models.perturbed_vae.model import PerturbedVAE
from perturbook.models.perturbed_vae.training import train as train_model
from perturbook.models.protocol import Prediction, Query, Training
from perturbook.models.training.recalled import digest, once

FEW_GENES = 1000
"""Genes below which the sizes of the paper, made for 5,000, are cut down."""
SMALL = {"d_nu": 6, "d_iota": 14, "hidden": 64}
"""Sizes then. Source: `perturbedvae.md` section 17."""
FIXED = ("epochs", "batch_size", "learning_rate", "final_share", "seed")
"""Fields of `Predictor` that `train` takes."""


@dataclass
class Predictor:
    """PerturbedVAE with all that is fixed before training."""

    switches: dict[str, Any] = field(default_factory=dict)
    """Fields of `Config`; sizes follow the number of genes where they are not given."""
    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 1e-3
    """The paper's 1e-4 belongs to a screen of a hundred thousand cells; ten times fewer steps want more (our choice)."""
    final_share: float = 0.0
    """Share of the learning rate left at the last step (our choice)."""
    pairing: str = "random"
    mode: str = "sample"
    """`sample` draws latents and observation noise; `mean` takes means, which makes cells that are far too alike."""
    seed: int = 0
    features: bool = False
    """Whether codes are made of features of the genes, so that a gene never perturbed has one; see `GeneFeatures`. Training
    then leaves out cells in which a gene unknown to GO was perturbed."""

    def config(self, n_genes: int) -> Config:
        """Switches and sizes for data of so many genes."""
        return Config(**{**(SMALL if n_genes < FEW_GENES else {}), **self.switches})

    def describe(self, train: Training) -> dict[str, Any]:
        """What `fit` would train, JSON-ready: switches and sizes, what codes are made of, and settings of the training."""
        told = GeneFeatures.of(train) if self.features else None
        return {
            "switches": self.config(train.cells.n_vars).as_dict(),
            "codes": {"features": told.genes, "left_out": told.blank(train)} if told else "identifiers",
            "training": {name: getattr(self, name) for name in (*FIXED, "pairing", "mode")},
        }

    def fit(self, train: Training) -> "Predictor":
        """Train on all cells that are shown; raises NotApplicable without a treated cell, or where doses vary."""
        self.told = GeneFeatures.of(train) if self.features else None
        cells, genes = cells_of(train, self.pairing, self.switches.get("likelihood") == "nb", self.told)
        self.genes, n_genes = genes, cells.x.shape[1]
        self.model = PerturbedVAE(n_genes, cells.codes.shape[1], self.seed, **self.config(n_genes).as_dict())
        if hasattr(self.model.likelihood, "start"):
            self.model.likelihood.start(torch.from_numpy(_variance(cells.x)))
        fixed = {name: getattr(self, name) for name in FIXED}
        key = digest(self._facts(genes), cells.arrays())
        self.history = once(self.model, key, lambda: train_model(self.model, cells, **fixed), __file__)
        return self

    def _facts(self, genes: list[str]) -> str:
        """Everything but numbers that decides what training gives."""
        fixed = {name: getattr(self, name) for name in (*FIXED, "pairing")}
        return json.dumps(["perturbed_vae", fixed, self.model.config.as_dict(), genes])

    def codes(self, perturbations: Sequence[str]) -> np.ndarray:
        """Code of each perturbation as the model reads it `(perturbations, n_perts)`; NaN where it cannot be asked about one."""
        return self.told.codes(perturbations) if self.told else codes(perturbations, self.genes)

    def predict(self, query: Query) -> Prediction:
        """A cell per control cell of the context, for each condition; NaN where a gene of it has no code.

        Without features that is a gene never perturbed in training, with features one that GO does not know.
        """
        asked = self.codes(query.conditions["perturbation"].astype(str).to_numpy())
        starts = starts_of(self.model, query, self.mode, self.seed)
        made = []
        for code, (context,) in zip(asked, query.group("context"), strict=True):
            start = starts[str(context)]
            unknown = np.isnan(code).any()
            blank = (len(start.zi), self.model.n_genes)
            made.append(np.full(blank, np.nan, np.float32) if unknown else generate(self.model, start, code))
        return Prediction.from_cells(made)


def _variance(x: sp.csr_matrix) -> np.ndarray:
    """Variance over cells of every gene, `(genes,)` float32, without making the matrix dense."""
    mean = x.mean(axis=0).A1
    return (x.multiply(x).mean(axis=0).A1 - mean**2).astype(np.float32)


def cells_of(
    train: Training, pairing: str, counted: bool, told: GeneFeatures | None = None
) -> tuple[Cells, list[str]]:
    """Training cells in the order of their names, and the perturbed genes; with features, those that have some.

    Raises:
        NotApplicable: no treated cell, doses that vary, a context without controls, or counts are asked for and not there.
    """
    adata = (told.told(train) if told else train).cells
    adata = adata[np.argsort(adata.obs_names.to_numpy(str))]
    obs = adata.obs
    names, contexts = obs["perturbation"].astype(str), obs["context"].astype(str)
    treated = ~obs["is_control"].to_numpy(bool)
    if not treated.any():
        raise NotApplicable("training holds no treated cell")
    if obs.loc[treated, "dose_um"].nunique() > 1:
        raise NotApplicable("a code names what was perturbed, and not the dose")
    if bare := sorted(set(contexts) - set(contexts[~treated])):
        raise NotApplicable(f"training holds no control cell of {bare[0]}")
    if counted and adata.uns["value_kind"] != "counts":
        raise NotApplicable("the data hold no counts")
    known = [CONTROL, *sorted(set(names[treated]))]
    genes = genes_seen(known)
    x = sp.csr_matrix(expression(adata), dtype=np.float32)
    raw = sp.csr_matrix(adata.X, dtype=np.float32) if counted else None
    cells = Cells(
        x,
        told.codes(known) if told else codes(known, genes),
        np.searchsorted(known[1:], names) * treated + treated,
        np.unique(contexts, return_inverse=True)[1],
        counts=raw,
        library=obs["n_counts"].to_numpy(float) if counted else None,
        pairing=pairing,
    )
    return cells, genes


def starts_of(model: PerturbedVAE, query: Query, mode: str, seed: int) -> dict[str, Start]:
    """Control cells of each context, in the order of their names, with their random numbers."""
    controls = query.controls[np.argsort(query.controls.obs_names.to_numpy(str))]
    contexts = controls.obs["context"].astype(str).to_numpy()
    x = sp.csr_matrix(expression(controls), dtype=np.float32)
    library = controls.obs["n_counts"].to_numpy(float)
    return {
        one: Start.of(model, x[contexts == one].toarray(), mode, seed, library[contexts == one])
        for one in np.unique(contexts)
    }
