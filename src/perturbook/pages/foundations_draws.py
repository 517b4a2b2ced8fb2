"""Tokens of the same cells under the reference scheme of draws and under ours, and the vectors a model makes of them.

In the reference scheme a draw comes from the next number of a generator. Batches of cells are dealt in turn to workers, each
with a generator of its own, so that a cell's draws depend on the seed, on its place, on the size of batches and on how many
workers there are. In ours a draw belongs to seed, cell and gene. Source: `scgpt.md` sections 6.1 and 6.2.
"""

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from anndata import AnnData

from perturbook.models.scgpt import ScGPT
from perturbook.models.scgpt.reference_draws import Ragged, collate_in_order, tokens_in_order
from perturbook.models.scgpt.tokens import MAX_LENGTH, PAD_VALUE, pad, tokenise

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
