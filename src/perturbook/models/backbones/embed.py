"""`embed`: every cell of an AnnData through a backbone, in blocks, reported in one line.

Source: `scgpt.md` sections 6.1, 6.2 and 8; the report, the blocks and what is kept of them are our choice.
"""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData, ImplicitModificationWarning

from perturbook.errors import ConfigError, ShapeError
from perturbook.models.backbones.backbone import Backbone, known_genes
from perturbook.models.backbones.cells_read import BLOCK, CellsRead
from perturbook.models.backbones.choose import choose, is_fitted_here
from perturbook.models.backbones.kept_blocks import KeptBlocks
from perturbook.models.backbones.survey import Survey, survey


def embed(
    adata: AnnData,
    backbone: Any,
    *,
    key: str | None = None,
    layer: str | None = None,
    symbols: str | None = None,
    seed: int | None = None,
    resume: str | Path | None = None,
    progress: bool = False,
    undefined: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> AnnData:
    """Write the embedding of every cell to `adata.obsm[key]`, `(cells, width)` float32, and a report to `adata.uns[key]`.

    The row of a cell depends on its values, its name, the seed and the backbone alone: not on the order of cells or genes,
    on other cells, on the size of batches, or on threads, up to rounding (1e-6). Values are read twice, in blocks of 512
    cells: once to check them, once to embed them. Beside the result one block and one batch are in memory, of a backed
    file too; only a matrix stored by genes (CSC), and cells that a backbone is fitted on, are read whole.

    Args:
        adata: cells `(cells, genes)`, in memory or backed; obs_names unique. Counts, or what the backbone takes.
        backbone: a name such as "small", the path of a checkpoint folder, an `ScGPT`, or a `Backbone`. "pca", "hvg" and
            "scvi" are fitted on these very cells; to embed cells that were not fitted on, make one first and pass it.
        key: where to write; the backbone's own, such as "X_scGPT", where None.
        layer: which layer to read; `X` where None.
        symbols: column of var with the gene symbols; var_names where None.
        seed: of ties and of genes left out of long cells; None is 0, or what a finished backbone has.
        resume: folder that keeps finished blocks; a run that was killed goes on from them to the same numbers, bit for bit.
        progress: show a bar on stderr.
        undefined: give cells without a known gene a row of NaN, instead of refusing them.
        overwrite: replace what stands under `key`.
        options: of the backbone's making, such as `ties="one"`, `max_length` or `batch_size` of scGPT.

    Returns:
        The same `adata`. `uns[key]["said"]` is the report in one line.

    Raises:
        InputError: names stand twice, genes do not match, values are negative or not finite, cells have no known gene,
            or `resume` is of another run; all before anything is computed.
        ConfigError: unknown backbone or option, or `key` is taken.
    """
    if adata.is_view and adata.isbacked:
        raise ConfigError(
            "A view of a backed file cannot hold the result: take it into memory (to_memory), or embed the whole file."
        )
    if key is not None:
        _refuse_taken(adata, key, overwrite)
    cells = CellsRead(adata, layer, symbols)
    if is_fitted_here(backbone):
        found = survey(cells, np.ones(cells.shape[1], dtype=bool))
        made = choose(backbone, _to_fit(cells, found, undefined), seed, options)
    else:
        made = choose(backbone, None, seed, options)
        found = survey(cells, known_genes(made, cells.var.index))
    key = key or made.key
    _refuse_taken(adata, key, overwrite)
    if not undefined:
        found.refuse_undefined(cells.obs.index)
    kept = KeptBlocks(resume, _run(made, found)) if resume is not None else None
    vectors = np.full((cells.shape[0], made.width), np.nan, dtype=np.float32)
    for rows, block in _blocks(cells, made, found.defined, kept, progress):
        vectors[rows] = block
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImplicitModificationWarning)  # a view becomes an object of its own
        adata.obsm[key] = vectors
        adata.uns[key] = _report(made, cells, found)
    return adata


def _refuse_taken(adata: AnnData, key: str, overwrite: bool) -> None:
    if key in adata.obsm and not overwrite:
        raise ConfigError(
            f"obsm[{key!r}] is there already; give another key, or overwrite it knowingly (overwrite=True, --overwrite)."
        )


def _to_fit(cells: CellsRead, found: Survey, undefined: bool) -> AnnData:
    if not undefined:
        found.refuse_undefined(cells.obs.index)
    return cells.in_memory(found.defined)


def _run(made: Backbone, found: Survey) -> dict:
    """What must be equal for kept blocks to be taken."""
    return {
        "backbone": made.identity,
        "settings": {
            name: value for name, value in getattr(made, "settings", {}).items() if name != "weights"
        },
        "data": found.data_sha256,
        "width": int(made.width),
        "block": BLOCK,
    }


def _blocks(
    cells: CellsRead, made: Backbone, defined: np.ndarray, kept: KeptBlocks | None, progress: bool
) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows and vectors of each block, `(cells, width)` float32, NaN where a cell has none."""
    from tqdm import tqdm

    with tqdm(
        total=cells.shape[0], unit=" cells", file=sys.stderr, disable=not progress, desc=made.title
    ) as bar:
        for number, (rows, values) in enumerate(cells.values()):
            keep = defined[rows]
            shape = (len(keep), made.width)
            block = kept.read(number, shape) if kept else None
            if block is None:
                block = np.full(shape, np.nan, dtype=np.float32)
                if keep.any():
                    block[keep] = _encode(made, cells.block(rows, values, keep))
                if kept:
                    kept.write(number, block)
            bar.update(len(keep))
            yield rows, block


def _encode(made: Backbone, block: AnnData) -> np.ndarray:
    vectors = np.asarray(made.encode(block))
    if vectors.shape != (block.n_obs, made.width):
        raise ShapeError(f"{made.title} gave {vectors.shape} for {block.n_obs} cells and width {made.width}.")
    if bad := int((~np.isfinite(vectors)).any(axis=1).sum()):
        raise ShapeError(f"{made.title} gave {bad} of {block.n_obs} cells numbers that are not finite.")
    return vectors


def _report(made: Backbone, cells: CellsRead, found: Survey) -> dict:
    """What was embedded, by what and how, of types that an .h5ad file holds; `said` is all of it in one line."""
    (n_cells, n_genes), matched = cells.shape, int(found.known.sum())
    settings = {
        name: value for name, value in getattr(made, "settings", {}).items() if value not in (None, "")
    }
    told = [f"{name} {settings[name]}" for name in ("seed", "ties") if name in settings]
    by_genes = ["the matrix is stored by genes and was read whole"] if cells.by_genes else []
    said = "; ".join(
        [
            f"{made.title}: {n_cells:,} cells, {made.width} numbers each, from {cells.where}",
            f"{matched:,} of {n_genes:,} genes known ({matched / n_genes:.1%}), {n_genes - matched:,} left out",
            found.said,
            *([", ".join(told)] if told else []),
            *by_genes,
        ]
    )
    return settings | {
        "backbone": made.name,
        "title": made.title,
        "identity": made.identity,
        "read": cells.where,
        "n_cells": n_cells,
        "n_genes": n_genes,
        "matched_genes": matched,
        "matched_share": matched / n_genes,
        "dropped_genes": np.asarray(cells.var.index[~found.known], dtype=object),
        "cells_without_known_gene": int(found.unknown.sum()),
        "empty_cells": int(found.empty.sum()),
        "data_sha256": found.data_sha256,
        "said": said + ".",
    }
