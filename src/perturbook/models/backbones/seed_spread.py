"""How far a cell's embedding moves when only a seed changes: under our rule, and under the reference's.

Most counts are ties, so that much of a cell's input is drawn. Source: `scgpt.md` sections 5, 6.1 and 6.2, point 6.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from anndata import AnnData

from perturbook.errors import ConfigError
from perturbook.models.backbones.cells_read import CellsRead
from perturbook.models.backbones.embed import embed
from perturbook.models.scgpt import ScGPT
from perturbook.models.scgpt.reference_draws import collate_in_order, tokens_in_order
from perturbook.models.scgpt.tokens import MAX_LENGTH, pad


def seed_spread(
    vectors_of: Callable[[int], np.ndarray], names: Iterable[str], seeds: Iterable[int]
) -> pd.DataFrame:
    """Cosine similarity of each cell to itself over all pairs of seeds.

    Args:
        vectors_of: seed -> embeddings `(cells, width)`, such as `lambda seed: under_our_rule(cells, model, seed)`.
        names: of the cells, `(cells,)`.
        seeds: at least two.

    Returns:
        Index cell, columns `mean` and `least`; 1 where no seed changes anything.

    Raises:
        ConfigError: fewer than two seeds.
    """
    made = [np.asarray(vectors_of(seed), dtype=float) for seed in seeds]
    if len(made) < 2:
        raise ConfigError(f"{len(made)} seed was given; a spread needs two.")
    units = np.stack([one / np.linalg.norm(one, axis=1, keepdims=True) for one in made])
    cosines = np.einsum("acw,bcw->abc", units, units)[np.triu_indices(len(made), 1)]
    return pd.DataFrame(
        {"mean": cosines.mean(axis=0), "least": cosines.min(axis=0)}, index=pd.Index(names, name="cell")
    )


def under_our_rule(cells: AnnData, backbone: object, seed: int, **options: object) -> np.ndarray:
    """Embeddings `(cells, width)` from `embed`, without writing them to `cells`. Options: those of `embed`."""
    bare = AnnData(cells.X, cells.obs[[]], cells.var[[]])
    (found,) = embed(bare, backbone, seed=seed, **options).obsm.values()
    return found


@torch.no_grad()
def under_the_reference(
    cells: AnnData, model: ScGPT, numpy_seed: int, torch_seed: int = 0, max_length: int = MAX_LENGTH
) -> np.ndarray:
    """Embeddings `(cells, width)` as the reference draws them: one stream over all cells in their order, all in one batch.

    The reference draws bins in loader workers, so that number of cores and batch size change its numbers as well; here the
    stream of bins is seeded, so that they can be had again.

    Raises InputError where names stand twice or fewer than half of the genes are known.
    """
    read = CellsRead(cells)
    ids = model.vocabulary.ids_of_data(read.var.index)
    rows = np.vstack([values.toarray() for _, values in read.values()])[:, ids >= 0]
    first = (model.vocabulary.cls, model.sizes.pad_value)
    of = collate_in_order(
        tokens_in_order(rows, ids[ids >= 0], first),
        np.random.RandomState(numpy_seed),
        torch.Generator().manual_seed(torch_seed),
        max_length,
        n_bins=model.sizes.n_bins,
    )
    tokens = pad(of, model.sizes.pad_id, model.sizes.pad_value)
    return F.normalize(model.encode_cell(*tokens), dim=1).numpy()
