"""The positive control, run: a backbone, its dictionaries, the concept of each that validation cells choose, and its genes.

Source: `concepts.md` section 9.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from perturbook.concepts.attribution import ConceptAttribution, attribute
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.dictionaries import fit_dictionary
from perturbook.concepts.dictionary import Dictionary
from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.encoder_of import embeddings, encoder_of
from perturbook.concepts.gradient_screen import Screen
from perturbook.concepts.sae_settings import SAESettings
from perturbook.concepts.swap_encoder import SwapEncoder
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.concepts.train_sae import train_many
from perturbook.data.schema import expression
from perturbook.evaluation.ranksum import Ranked, p_values
from perturbook.pages.concepts_control import (
    PROTOTYPES,
    STIMULATED,
    STIMULATION,
    TYPE,
    aurocs,
    major_types,
    parts,
)

SAES = {"small": (256, (8, 16), 60), "scvi": (160, (2, 3, 4), 100)}
"""Backbone -> latents, numbers of active ones among which validation cells choose, passes. Source: `concepts.md` section 3.2
for scVI; twice the width for scGPT, because the training cells are few."""
BATCH = 128
ARMS = {"neurons": "Neurons", "pca": "PCA", "ica": "ICA"}
SCREENS = {"small": Screen(q=1, others=0, lead=150), "scvi": Screen(q=1, others=0, lead=1_000_000)}
"""Genes that are verified in every pair, those first by the derivative; of scVI every gene that differs often enough to be
ranked. The derivative is an arm of its own, too."""


@dataclass(frozen=True)
class Chosen:
    """A concept that validation cells chose."""

    dictionary: Dictionary
    concept: int
    label: str
    """What it was chosen to separate."""
    validation: float
    """AUROC on validation cells."""


@dataclass(frozen=True)
class Control:
    """Cells of the control with the embeddings of one backbone."""

    adata: AnnData
    part: np.ndarray
    encoder: SwapEncoder
    z: np.ndarray
    """`(cells, width)`."""
    screen: Screen

    @classmethod
    def of(cls, name: str, adata: AnnData) -> "Control":
        """Embed the cells by a backbone of `BACKBONES`; scVI is trained on the training cells, scGPT is used as it was shipped."""
        part = parts(adata.obs)
        encoder = encoder_of(name, adata, part == "train")
        return cls(adata, part, encoder, embeddings(encoder, adata), SCREENS[name])

    @cached_property
    def stimulated(self) -> np.ndarray:
        """`(cells,)` boolean."""
        return (self.adata.obs[STIMULATION] == STIMULATED).to_numpy()

    @cached_property
    def training(self) -> Cells:
        """The cells that prototypes and counterfactuals are taken from."""
        own = self.part == "train"
        counts = self.adata.X[own].tocsr()
        return Cells(counts, self.z[own], list(self.adata.var_names), self.adata.obs[own])

    def codes(self, of: Dictionary) -> np.ndarray:
        """Codes of all cells, `(cells, concepts)`."""
        with torch.no_grad():
            return of.encode(torch.from_numpy(self.z)).numpy()

    def choose(
        self, dictionaries: list[Dictionary], positive: np.ndarray, label: str, without: int = -1
    ) -> Chosen:
        """The concept with the highest AUROC on validation cells, over all dictionaries; the first among equals."""
        own, found = self.part == "validation", []
        for one in dictionaries:
            values = aurocs(self.codes(one)[own], positive[own])
            if without >= 0:
                values[without] = -1
            found.append((float(values.max()), one, int(values.argmax())))
        best = max(found, key=lambda one: one[0])
        return Chosen(best[1], best[2], label, best[0])

    def measured(self, chosen: Chosen, positive: np.ndarray | None = None) -> dict[str, float]:
        """AUROC of the chosen concept by "validation", "test", "held out" and type (test cells of it)."""
        code = self.codes(chosen.dictionary)[:, chosen.concept]
        return self.aurocs_of(code, self.stimulated if positive is None else positive)

    def aurocs_of(self, values: np.ndarray, positive: np.ndarray) -> dict[str, float]:
        """AUROC of one value per cell, by part and type as in `measured`."""
        types = self.adata.obs[TYPE].astype(str).to_numpy()
        rows = {name: self.part == name for name in ("validation", "test", "held out")}
        rows |= {one: (self.part == "test") & (types == one) for one in sorted(set(types[rows["test"]]))}
        return {name: float(aurocs(values[own, None], positive[own])[0]) for name, own in rows.items()}

    def probe(self) -> dict[str, float]:
        """AUROC of a logistic regression that is told the stimulation of the training cells: is it in the embedding at all?"""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        own, z = self.part == "train", self.z.astype(float)
        fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        fitted.fit(z[own], self.stimulated[own])
        return self.aurocs_of(fitted.decision_function(z), self.stimulated)

    def best_three(self, dictionary: Dictionary) -> list[tuple[int, float, float]]:
        """Concepts with the highest validation AUROC: number, on validation, on test."""
        codes = self.codes(dictionary)
        valid, test = (aurocs(codes[own], self.stimulated[own]) for own in self._parts("validation", "test"))
        return [(int(j), float(valid[j]), float(test[j])) for j in np.argsort(-valid, kind="stable")[:3]]

    def most_typical(self, dictionary: Dictionary, without: int) -> tuple[Chosen, np.ndarray]:
        """The concept that best tells one cell type from the others, and which cells are of that type."""
        types = self.adata.obs[TYPE].astype(str).to_numpy()
        made = [
            (self.choose([dictionary], types == one, one, without), types == one)
            for one in sorted(set(types[self.part == "validation"]))
        ]
        return max(made, key=lambda one: one[0].validation)

    def attribute(self, chosen: Chosen, match_on: tuple[str, ...] = (TYPE,)) -> ConceptAttribution:
        """Genes of a concept, over pairs of training cells with equal labels `match_on`."""
        settings = AttributionSettings(n=PROTOTYPES, match_on=match_on)
        found, _ = attribute(
            self.encoder, chosen.dictionary, self.training, [chosen.concept], settings, self.screen
        )
        return found[chosen.concept]

    def differential(self, active: np.ndarray) -> pd.Series:
        """Signed -log10 p of the rank-sum test of training cells that are `active` against the others, by gene, highest first."""
        x = np.asarray(expression(self.adata[self.part == "train"]).toarray(), np.float32)
        own = active[self.part == "train"]
        return ranked_differential(x, own, list(self.adata.var_names))

    def major(self) -> list[str]:
        """Cell types with enough test cells."""
        return major_types(self.adata.obs, self.part)

    def _parts(self, *names: str) -> Iterator[np.ndarray]:
        return (self.part == name for name in names)


def ranked_differential(x: np.ndarray, active: np.ndarray, genes: list[str]) -> pd.Series:
    """Signed -log10 p of the rank-sum test, higher in active cells first, ties by name; cells `(cells, genes)`.

    All 0 where no cell is active, or every one.
    """
    if not active.any() or active.all():
        return ordered(pd.Series(0.0, index=genes))
    p = np.maximum(p_values(x[active], Ranked.of(x[~active])), np.finfo(float).tiny)
    sign = np.sign(x[active].mean(axis=0) - x[~active].mean(axis=0))
    return ordered(pd.Series(-np.log10(p) * sign, index=genes))


def ordered(scores: pd.Series) -> pd.Series:
    """Highest first, ties by name."""
    scores = scores.sort_index(kind="stable")
    return scores.iloc[np.argsort(-scores.to_numpy(float), kind="stable")]


def autoencoders(z: np.ndarray, train: np.ndarray, name: str) -> list[TopKSAE]:
    """Sparse autoencoders of the training cells, one per number of active latents; the labels are not looked at."""
    latents, ks, passes = SAES[name]
    made = [TopKSAE(z.shape[1], latents, k, seed=0) for k in ks]
    train_many(made, z, SAESettings(batch=BATCH, passes=passes), cells=np.flatnonzero(train))
    return made


def plain(z: np.ndarray, train: np.ndarray, k: int) -> dict[str, Dictionary]:
    """Neurons, principal and independent components, with as many active ones per cell."""
    return {name: fit_dictionary(name, z, cells=np.flatnonzero(train), k=k) for name in ARMS}
