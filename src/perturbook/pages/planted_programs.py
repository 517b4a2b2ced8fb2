"""Planted programs: simulated cells in which it is known which genes a concept should be attributed to.

Cells of three types express five programs of thirty genes each. The first is the stimulation: half of the cells have it.
The others switch on in a part of the cells; programs come in pairs, and with probability `together` the second of a pair is
switched as the first is. The encoder is linear: principal components of log1p of scaled counts. A concept is chosen for each
program on validation cells, attributed, and compared with differential expression of the same training cells.
Source: `concepts.md` section 13, check 18; `simulators.md` for counts; sizes are our choice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from perturbook.concepts.attribution import ConceptAttribution, attribute
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.linear_encoder import LinearEncoder
from perturbook.concepts.sae_settings import SAESettings
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.concepts.train_sae import train
from perturbook.data.simulated_counts import DISPERSION, CellModel, draw_counts
from perturbook.pages.concepts_control import aurocs
from perturbook.pages.concepts_control_arms import ranked_differential

GENES, TYPES, PROGRAMS, SIZE, CELLS = 300, 3, 5, 30, 6000
TOGETHER = (0.0, 0.4, 0.8)
"""How often the second program of a pair is switched as the first: what confounds a comparison of cells."""
SEEDS = 6
GENE_SD, TYPE_SD, EFFECT = 1.0, 0.25, (1.0, 2.0)
"""Spread of mean log expression between genes and of a gene between types; log effects of a program's genes."""
RATE = 0.3
"""Share of cells in which a program is active; half for the stimulation."""
WIDTH, LATENTS, K = 16, 12, 4
ALONE = {"cells": 1800, "programs": 1}, {"latents": 8, "k": 2}
"""A world with the stimulation alone, and its concepts: check 18 of `concepts.md`."""
SETTINGS = SAESettings(batch=64, passes=30, learning_rate=3e-3, final_share=0.1)
ARMS = {
    "attribution": "Attribution",
    "shuffled": "Attribution, random pairs",
    "active": "Attribution, pairs that share the concept",
    "de": "DE, active against inactive cells",
    "de_within": "DE, within types",
    "de_truth": "DE, told which cells have the program",
}
"""What ranks genes. The second and third are negative controls, the fourth is the opponent of the aim."""
COLUMNS = ["together", "seed", "program", "arm", "quantity", "value"]


@dataclass(frozen=True)
class World:
    """Simulated cells and what was planted in them."""

    counts: np.ndarray
    """`(cells, genes)`."""
    types: np.ndarray
    """`(cells,)`."""
    active: np.ndarray
    """Which programs a cell has, `(cells, programs)` boolean; column 0 is the stimulation."""
    planted: np.ndarray
    """Which genes a program has, `(programs, genes)` boolean."""
    part: np.ndarray
    """0: trained on, 1: validation, 2: test; `(cells,)`."""

    @classmethod
    def of(cls, seed: int, together: float = 0.0, cells: int = CELLS, programs: int = PROGRAMS) -> "World":
        """Draw a world."""
        rng = np.random.default_rng([seed, 2025])
        level = rng.normal(0, GENE_SD, GENES) + rng.normal(0, TYPE_SD, (TYPES, GENES))
        planted = np.zeros((programs, GENES), dtype=bool)
        effects = np.zeros((programs, GENES))
        for one in range(programs):
            own = rng.choice(GENES, SIZE, replace=False)
            planted[one, own] = True
            effects[one, own] = rng.uniform(*EFFECT, SIZE)
        types = rng.integers(TYPES, size=cells)
        rates = np.full(programs, RATE)
        rates[0] = 0.5
        active = rng.random((cells, programs)) < rates
        for second in range(2, programs, 2):  # the stimulation has no partner
            same = rng.random(cells) < together
            active[same, second] = active[same, second - 1]
        strength = active * rng.uniform(0.7, 1.3, active.shape)
        log_mean = level[types] + strength @ effects
        ones = np.ones(cells, dtype=int)
        model = CellModel(np.zeros((2, GENES)), np.full(GENES, DISPERSION))
        counts = draw_counts(rng, model, log_mean, ones.astype(float), ones)
        return cls(counts, types, active, planted, rng.permutation(np.arange(cells) % 3))

    @cached_property
    def values(self) -> np.ndarray:
        """log1p of counts scaled to 10,000 per cell, `(cells, genes)`: what the encoder reads."""
        return np.log1p(self.counts / self.counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)


@dataclass(frozen=True)
class Read:
    """A world, its linear encoder and the concepts of its training cells."""

    world: World
    encoder: LinearEncoder
    z: np.ndarray
    sae: TopKSAE

    @classmethod
    def of(cls, world: World, seed: int, latents: int = LATENTS, k: int = K) -> "Read":
        """Fit the components and train the autoencoder on the training cells."""
        from sklearn.decomposition import PCA

        own = world.part == 0
        matrix = PCA(WIDTH, svd_solver="full").fit(world.values[own].astype(float)).components_
        encoder = LinearEncoder(matrix)
        z = encoder.embed(np.arange(GENES), world.values).numpy()
        sae = TopKSAE(WIDTH, latents, k, seed=seed)
        train(sae, z.astype(np.float32), SETTINGS, cells=np.flatnonzero(own))
        return cls(world, encoder, z, sae.double())

    @cached_property
    def codes(self) -> np.ndarray:
        """`(cells, concepts)`."""
        with torch.no_grad():
            return self.sae.encode(torch.from_numpy(self.z)).numpy()

    def concept(self, program: int) -> int:
        """The concept that best tells validation cells with the program from those without."""
        own = self.world.part == 1
        return int(aurocs(self.codes[own], self.world.active[own, program]).argmax())

    @cached_property
    def training(self) -> Cells:
        """The cells that pairs are made of."""
        own = self.world.part == 0
        genes = [f"sim-{gene + 1:03d}" for gene in range(GENES)]
        obs = pd.DataFrame({"type": self.world.types[own].astype(str)}, index=np.flatnonzero(own).astype(str))
        return Cells(sp.csr_matrix(self.world.values[own]), self.z[own], genes, obs)

    def attributed(self, concept: int, against: str = "inactive") -> ConceptAttribution:
        """Attribution of a concept; the nearest counterfactual of the same type, or a negative control.

        "random": cells of any type drawn at random among those that do not activate the concept. "active": the nearest cell of
        the same type that does activate it, so that the pair shares what the concept is about.
        """
        match_on = () if against == "random" else ("type",)
        settings = AttributionSettings(match_on=match_on, against=against)
        return attribute(self.encoder, self.sae, self.training, [concept], settings)[0][concept]

    def alike(self, found: ConceptAttribution, program: int) -> float:
        """Share of pairs whose two cells both have the program, or both lack it; NaN without pairs."""
        pairs = found.pairs.dropna(subset=["counterfactual"])
        has = self.world.active[self.world.part == 0, program]
        ends = [has[pairs[end].to_numpy(int)] for end in ("prototype", "counterfactual")]
        return float((ends[0] == ends[1]).mean()) if len(pairs) else float("nan")

    def scored(self, program: int) -> Iterator[tuple[str, str, float]]:
        """Arm, quantity and value for one program."""
        from sklearn.metrics import average_precision_score

        world, concept = self.world, self.concept(program)
        train_on, test = world.part == 0, world.part == 2
        code = self.codes[:, [concept]]
        yield "concept", "auroc", float(aurocs(code[test], world.active[test, program])[0])
        x, on = world.values[train_on], code[train_on, 0] > 0
        types = world.types[train_on]
        centred = x - np.stack([x[types == one].mean(axis=0) for one in range(TYPES)])[types]
        ways = {"attribution": "inactive", "shuffled": "random", "active": "active"}
        found = {arm: self.attributed(concept, against) for arm, against in ways.items()}
        made = {arm: scores_of(one) for arm, one in found.items()} | {
            "de": _differential(x, on),
            "de_within": _differential(centred, on),
            "de_truth": _differential(x, world.active[train_on, program]),
        }
        for arm, one in found.items():
            yield arm, "alike", self.alike(one, program)
        truth = world.planted[program]
        for arm, scores in made.items():
            yield arm, "auprc", float(average_precision_score(truth, scores))
            yield arm, "top 10", float(truth[np.argsort(-scores, kind="stable")[:10]].sum())


def scores_of(found: ConceptAttribution) -> np.ndarray:
    """Scores of all genes, `(genes,)`; 0 for genes that were not tested."""
    return np.where(found.scores["status"] == "exact", found.scores[found.rank_by], 0.0)


def _differential(x: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Signed -log10 p of the rank-sum test, `(genes,)`."""
    names = [f"{gene:04d}" for gene in range(x.shape[1])]
    return ranked_differential(x, active, names).sort_index().to_numpy()


def study(
    seeds: Sequence[int] = range(SEEDS), together: Sequence[float] = TOGETHER
) -> Iterator[pd.DataFrame]:
    """Every program of every world, one table per world with the columns `COLUMNS`."""
    for share in together:
        for seed in seeds:
            read = Read.of(World.of(seed, share), seed)
            rows = [
                (share, seed, program, *one) for program in range(PROGRAMS) for one in read.scored(program)
            ]
            yield pd.DataFrame(rows, columns=COLUMNS)
