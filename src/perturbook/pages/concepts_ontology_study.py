"""`results/concepts-ontology.csv.gz`: for some concepts of the small scGPT, what attribution and DE say of every tested gene.

`perturbook train concepts-ontology` makes it from `kang2018-mini`: a Top-K autoencoder on the embeddings, attribution to
first order (one derivative per pair of cells, no exact passes), and Wilcoxon scores with permuted labels beside them.
Settings were fixed before anything was seen of the outcome. Source: `concepts.md` sections 3, 5 and 6; numbers our choice.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook import data
from perturbook.concepts.differential_genes import RankedGenes, active_cells, permuted
from perturbook.data.kang2018_mini import NAME
from perturbook.data.schema import expression
from perturbook.errors import InputError
from perturbook.pages import trained_table
from perturbook.pages.table import ROOT

PAGE = "concepts-ontology"
DEPOSIT = ROOT / "results" / "concepts-ontology.csv.gz"
CONCEPTS, LATENTS, K = 30, 128, 8
"""Concepts shown, latents of the autoencoder, and latents active per cell. As many latents as numbers in the embedding: with
more, few would be active in as many cells as the Wilcoxon test needs."""
TRAINING = {"passes": 100, "batch": 256, "learning_rate": 1e-3}
PROTOTYPES, QUANTILE, PERMUTED = 20, 0.94, 3
"""The quantile leaves the test just over 100 active cells of the 1,975; at the usual 0.99 no concept could have as many."""
PERMUTATIONS = [f"permuted_{one}" for one in range(1, PERMUTED + 1)]
COLUMNS = ["concept", "gene", "score", "de", "detected", *PERMUTATIONS]


def make(to: Path = DEPOSIT) -> Iterator[str]:
    """Train, attribute, test and store; says so line by line. Raises DataUnavailable where the cells cannot be had."""
    from perturbook.concepts import SAESettings, TopKSAE, train
    from perturbook.concepts.attribution import attribute
    from perturbook.concepts.attribution_settings import AttributionSettings
    from perturbook.concepts.embedded_cells import Cells
    from perturbook.concepts.gradient_screen import Screen
    from perturbook.concepts.scgpt_swaps import ScGPTSwaps
    from perturbook.models.backbones.small_checkpoint import small

    adata = data.load(NAME)
    adata = adata[np.argsort(adata.obs_names.to_numpy(str))].copy()
    backbone = small(ties="one")
    cells = Cells(adata.X.tocsr(), backbone.encode(adata), adata.var_names.tolist(), adata.obs)
    sae = TopKSAE(backbone.width, LATENTS, K, seed=0)
    train(sae, cells.embeddings, SAESettings(**TRAINING))
    codes = cells.codes(sae, range(LATENTS))
    chosen = often_active(codes)
    yield f"{len(chosen)} concepts of {LATENTS}, {len(adata)} cells"
    encoder = ScGPTSwaps(backbone.model, cells.genes)
    ranked = RankedGenes.of(expression(adata))
    settings, made = AttributionSettings(n=PROTOTYPES), []
    for concept in chosen:
        found, _ = attribute(encoder, sae, cells, [concept], settings, Screen(q=1, others=0, lead=0))
        made.append(_rows(cells, found[concept], ranked, active_cells(codes[:, concept], QUANTILE)))
        yield f"concept {concept}: {len(made[-1])} tested genes"
    parameters = {"latents": LATENTS, "k": K, "prototypes": PROTOTYPES, "quantile": QUANTILE, "seed": 0}
    trained_table.write(pd.concat(made, ignore_index=True), to, PAGE, NAME, parameters | TRAINING)


def often_active(codes: np.ndarray, n: int = CONCEPTS) -> list[int]:
    """The `n` concepts active in most cells of codes `(cells, latents)`, of those that are silent in as many as the test
    needs above its quantile, and active in as many; ties by number."""
    active, needed = (codes > 0).sum(axis=0), int(np.ceil((1 - QUANTILE) * len(codes)))
    fit = np.flatnonzero((active >= needed) & (active <= len(codes) - needed))
    return sorted(fit[np.argsort(-active[fit], kind="stable")][:n].tolist())


def _rows(cells, found, ranked: RankedGenes, active: np.ndarray) -> pd.DataFrame:
    """The tested genes of one concept: first-order relative attribution, DE, share of prototypes that express them."""
    scores = found.scores
    de = ranked.scores(np.vstack([active, permuted(active, PERMUTED, seed=found.concept)]))
    prototypes = sorted(found.counterfactuals)
    made = pd.DataFrame(
        {
            "concept": found.concept,
            "gene": scores.index,
            "score": [float(f"{one:.4g}") for one in scores["first_order"]],
            "de": de[0].round(2),
            "detected": np.asarray((cells.counts[prototypes] > 0).mean(axis=0)).ravel().round(3),
        }
    ).assign(**dict(zip(PERMUTATIONS, de[1:].round(2), strict=True)))
    return made[(scores["status"] != "not tested").to_numpy()]


def stored(path: Path = DEPOSIT) -> pd.DataFrame:
    """The deposit; raises InputError where it is missing, incomplete, or made from other cells."""
    rows = trained_table.read(path, COLUMNS, PAGE, NAME)
    if (found := rows["concept"].nunique()) != CONCEPTS:
        raise InputError(
            f"{path} holds {found} concepts, expected {CONCEPTS}; make it with `perturbook train {PAGE}`."
        )
    return rows
