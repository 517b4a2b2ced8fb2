"""The randomness trap: the same cells under the reference scheme of draws and under ours, and how far an embedding moves.

In the reference scheme a draw comes from the next number of a generator. Batches of cells are dealt in turn to workers, each
with a generator of its own, so that a cell's draws depend on the seed, on its place, on the size of batches and on how many
workers there are. In ours a draw belongs to seed, cell and gene. Source: `scgpt.md` sections 6.1 and 6.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from anndata import AnnData
from IPython.display import HTML

from perturbook.models.backbones.seed_spread import seed_spread
from perturbook.models.scgpt import ScGPT
from perturbook.models.scgpt.reference_draws import Ragged, collate_in_order, tokens_in_order
from perturbook.models.scgpt.tokens import MAX_LENGTH, PAD_VALUE, pad, tokenise
from perturbook.pages.foundations import label
from perturbook.pages.html_table import table

REFERENCE, OURS, NO_DRAWS = "reference", "ours", "ours, ties to the upper edge"
BATCH, WORKERS, AT_ONCE = 8, 2, 16
"""Cells per batch and workers of the first reference run; cells that go through the model here at once. Our choice: batches
are usually larger, and few cells must do."""


def reference_tokens(
    cells: AnnData, model: ScGPT, seed: int = 0, batch: int = BATCH, workers: int = WORKERS
) -> Ragged:
    """Tokens of every cell as the reference scheme draws them; ids and values per cell, in the order of its genes."""
    ids = model.vocabulary.ids_of(cells.var_names)
    rows = sp.csr_matrix(cells.X)[:, ids >= 0].toarray()
    whole = tokens_in_order(rows, ids[ids >= 0], (model.vocabulary.cls, PAD_VALUE))
    drawn = [
        (np.random.RandomState([seed, worker]), torch.Generator().manual_seed(1_000 * seed + worker))
        for worker in range(workers)
    ]
    found: Ragged = []
    for number, start in enumerate(range(0, len(whole), batch)):
        legacy, generator = drawn[number % workers]
        found += collate_in_order(whole[start : start + batch], legacy, generator, MAX_LENGTH)
    return found


def our_tokens(cells: AnnData, model: ScGPT, seed: int = 0, ties: str = "seeded") -> Ragged:
    """Tokens of every cell by the rule of this project."""
    ids = model.vocabulary.ids_of(cells.var_names)
    return tokenise(sp.csr_matrix(cells.X), ids, cells.obs_names, model.vocabulary, seed=seed, ties=ties)


@torch.inference_mode()
def vectors(model: ScGPT, tokens: Ragged) -> np.ndarray:
    """Unit vectors of the cells, `(cells, width)`; cells of like length go through the model together."""
    found = np.empty((len(tokens), model.width), dtype=np.float32)
    order = np.argsort([len(ids) for ids, _ in tokens], kind="stable")
    for start in range(0, len(order), AT_ONCE):
        at = order[start : start + AT_ONCE]
        batch = pad([tokens[i] for i in at], model.vocabulary.pad)
        found[at] = F.normalize(model.encode_cell(*batch), dim=1).numpy()
    return found


def bins_of(tokens: Ragged, width: int) -> np.ndarray:
    """Bin of each token, `(cells, tokens)`, -1 where a cell has none; `<cls>` left out."""
    found = np.full((len(tokens), width), -1.0)
    for row, (ids, bins) in enumerate(tokens):
        found[row, ids[1:]] = bins[1:]
    return found


def one_cell(cells: AnnData, model: ScGPT, cell: str, seeds: range, most: int = 24) -> pd.DataFrame:
    """Bins of some genes of one cell under several seeds of the reference scheme, and under ours in several runs.

    The genes are half of them those of most counts, half of them spread over the genes that have one count.

    Returns:
        Columns gene, count, scheme, run, bin. A run of ours is the same seed with another set of cells around the cell.
    """
    row = cells.obs_names.get_loc(cell)
    counts = pd.Series(sp.csr_matrix(cells.X)[row].toarray().ravel(), index=cells.var_names)
    counts = counts[model.vocabulary.ids_of(cells.var_names) >= 0]
    highest = counts.sort_values(ascending=False, kind="stable").index[: most // 2]
    ones = counts.index[counts == 1]
    genes = [*highest, *ones[np.linspace(0, len(ones) - 1, most - most // 2).round().astype(int)]]
    token, frames = model.vocabulary.ids_of(genes), []
    for run in seeds:
        drawn = {REFERENCE: bins_of(reference_tokens(cells, model, run), len(model.vocabulary))[row]}
        around = cells[np.sort(np.random.default_rng(run).permutation(cells.n_obs)[: cells.n_obs // 2])]
        around = (
            cells[[row]] if run == seeds[0] else cells[[cell, *around.obs_names.drop(cell, errors="ignore")]]
        )
        drawn[OURS] = bins_of(our_tokens(around, model), len(model.vocabulary))[0]
        frames += [
            pd.DataFrame(
                {"gene": genes, "count": counts[genes].astype(int).to_numpy(), "bin": bins[token].astype(int)}
            ).assign(scheme=scheme, run=str(run + 1))
            for scheme, bins in drawn.items()
        ]
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class Run:
    """The same cells embedded once."""

    scheme: str
    changed: str
    """What differs from the first run of the scheme; empty for the first."""
    bins: np.ndarray
    """`(cells, tokens)`, -1 where a cell has no such token."""
    vectors: np.ndarray
    """Unit vectors, `(cells, width)`."""


def runs(cells: AnnData, model: ScGPT, seeds: range) -> list[Run]:
    """The cells under each scheme: a first run, then others where something is changed that should not matter, or the seed."""
    order = np.random.default_rng(seeds[0]).permutation(cells.n_obs)
    shuffled, back = cells[order].copy(), np.argsort(order)

    def drawn() -> Iterator[tuple[str, str, Ragged]]:
        yield REFERENCE, "", reference_tokens(cells, model, seeds[0])
        yield REFERENCE, "batch size", reference_tokens(cells, model, seeds[0], batch=2 * BATCH)
        yield REFERENCE, "workers", reference_tokens(cells, model, seeds[0], workers=1)
        tokens = reference_tokens(shuffled, model, seeds[0])
        yield REFERENCE, "order of cells", [tokens[i] for i in back]
        for seed in seeds[1:]:
            yield REFERENCE, "seed", reference_tokens(cells, model, seed)
        yield OURS, "", our_tokens(cells, model, seeds[0])
        yield (
            OURS,
            "cells around it",
            [our_tokens(cells[[i]], model, seeds[0])[0] for i in range(cells.n_obs)],
        )
        tokens = our_tokens(shuffled, model, seeds[0])
        yield OURS, "order of cells", [tokens[i] for i in back]
        for seed in seeds[1:]:
            yield OURS, "seed", our_tokens(cells, model, seed)
        yield NO_DRAWS, "", our_tokens(cells, model, seeds[0], "one")
        yield NO_DRAWS, "seed", our_tokens(cells, model, seeds[1], "one")

    width = len(model.vocabulary)
    return [
        Run(scheme, changed, bins_of(tokens, width), vectors(model, tokens))
        for scheme, changed, tokens in drawn()
    ]


def changes(cells: AnnData, made: list[Run]) -> pd.DataFrame:
    """How far every run is from the first of its scheme, one row per cell and run.

    Returns:
        Columns scheme, changed, cell, distance (between unit vectors) and moved (share of values in another bin).
    """
    first, frames = {run.scheme: run for run in made if not run.changed}, []
    for run in made:
        if run.changed:
            base = first[run.scheme]
            there = base.bins >= 0
            frame = {
                "scheme": run.scheme,
                "changed": run.changed,
                "cell": cells.obs_names,
                "distance": np.linalg.norm((run.vectors - base.vectors).astype(float), axis=1),
                "moved": ((base.bins != run.bins) & there).sum(axis=1) / there.sum(axis=1),
            }
            frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True)


def spread_table(cells: AnnData, made: list[Run]) -> HTML:
    """Cosine of each cell with itself over all pairs of seeds, per scheme; see `seed_spread`."""
    rows = []
    for scheme in dict.fromkeys(run.scheme for run in made):
        own = [run.vectors for run in made if run.scheme == scheme and run.changed in ("", "seed")]
        found = seed_spread(own.__getitem__, cells.obs_names, range(len(own)))
        rows.append(
            {
                "Scheme": scheme,
                "Seeds": len(own),
                "Mean cosine": f"{found['mean'].mean():.5f}",
                "Least of any cell and pair": f"{found['least'].min():.5f}",
            }
        )
    return HTML(table(rows, f"Each of {cells.n_obs} cells with itself under other seeds"))


def between_cells(cells: AnnData, model: ScGPT, seed: int = 0) -> float:
    """Median distance between the unit vectors of two cells of one type and condition, each pair once."""
    points, group = vectors(model, our_tokens(cells, model, seed)), label(cells.obs)
    first, second = np.triu_indices(len(points), 1)
    same = group[first] == group[second]
    return float(np.median(np.linalg.norm(points[first[same]] - points[second[same]], axis=1)))


def change_table(found: pd.DataFrame) -> HTML:
    """Medians over cells and repeats of what `changes` found."""
    rows = [
        {
            "Scheme": scheme,
            "What was changed": changed,
            "Values in another bin": f"{100 * rows['moved'].median():.0f} %",
            "Distance of the embeddings": f"{rows['distance'].median():.2g}",
            "Cosine": f"{1 - rows['distance'].median() ** 2 / 2:.4f}",
        }
        for (scheme, changed), rows in found.groupby(["scheme", "changed"], sort=False)
    ]
    return HTML(table(rows, "The same cells twice: medians over cells"))
