"""From counts to tokens: which genes of a cell the model sees, each with its binned value, `<cls>` first.

A cell's tokens depend on its counts, its name and the seed alone, never on its row, the order of the genes, or other
cells. They stand in ascending token id; attention has no positions, so their order carries nothing. Source: `scgpt.md`
sections 5 and 6, the rule for determinism 6.2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from perturbook.data.findings import cells_where
from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.models.scgpt.binning import N_BINS, bin_values, check_ties
from perturbook.models.scgpt.draws import cell_keys, uniforms
from perturbook.models.scgpt.vocabulary import Vocabulary

MAX_LENGTH = 1200
"""Tokens of a cell, `<cls>` among them, as in pre-training of the released models."""
PAD_VALUE = -2.0
"""Value of padding; in pre-training and zero-shot embedding also that of `<cls>`."""
MASK_VALUE = -1.0


class Tokens(NamedTuple):
    """A batch of cells of equal length."""

    gene_ids: torch.Tensor
    """`(cells, L)` int64."""
    values: torch.Tensor
    """`(cells, L)` float32: bins, and the values of `<cls>`, masks and padding."""
    padding: torch.Tensor
    """`(cells, L)` bool, True where padded."""


def tokenise(
    matrix: sp.csr_matrix,
    ids: np.ndarray,
    cell_names: Sequence[str],
    vocabulary: Vocabulary,
    seed: int = 0,
    max_length: int = MAX_LENGTH,
    n_bins: int = N_BINS,
    cls_value: float = PAD_VALUE,
    ties: str = "seeded",
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Tokens of each cell: `<cls>`, then its non-zero genes that are known, in ascending id.

    Values are binned over all of these genes; of a cell that has more than `max_length` - 1, as many are then kept, each
    set of genes equally likely.

    Args:
        matrix: values `(cells, genes)`, not negative; zeros may be stored.
        ids: token id of each gene, `(genes,)`, -1 where it is unknown; such genes are left out.
        cell_names: obs names `(cells,)`, unique; they identify the cells.
        vocabulary: where `<cls>` stands.
        seed: decides ties and which genes of a long cell are kept.
        max_length: most tokens of a cell, `<cls>` among them.
        n_bins: bins, 0 among them.
        cls_value: value of `<cls>`: -2 in pre-training and embedding, 0 in upstream's fine-tuning.
        ties: "seeded", a value equal to several edges draws its bin; "one", it takes the upper edge, without a draw.

    Returns:
        Per cell ids `(n,)` int64 and values `(n,)` float32, `n` from 2 to `max_length`.

    Raises:
        InputError: cell names stand twice, or a cell has no known gene.
        ShapeError: the arguments do not fit together.
        ConfigError: an option is impossible.
    """
    check_ties(ties)
    if max_length < 2:
        raise ConfigError(f"max_length is {max_length}; <cls> and one gene need 2.")
    known = _known(matrix, ids, cell_names)
    names, starts = np.asarray(cell_names, dtype=object), known.indptr
    if (bad := np.diff(starts) == 0).any():
        raise InputError(f"No gene of the vocabulary is expressed in {cells_where(bad, names)}.")
    per_entry = np.repeat(cell_keys(names), np.diff(starts))
    draws = uniforms(seed, "ties", per_entry, known.indices) if ties == "seeded" else None
    order = uniforms(seed, "genes", per_entry, known.indices) if np.diff(starts).max() >= max_length else None
    cells = []
    for start, stop in zip(starts[:-1], starts[1:], strict=True):
        at = slice(start, stop)
        bins = bin_values(known.data[at], None if draws is None else draws[at], n_bins)
        genes = known.indices[at]
        if len(genes) >= max_length:
            kept = np.sort(np.argsort(order[at], kind="stable")[: max_length - 1])
            genes, bins = genes[kept], bins[kept]
        cells.append((_first(vocabulary.cls, genes, np.int64), _first(cls_value, bins, np.float32)))
    return cells


def pad(cells: Sequence[tuple[np.ndarray, np.ndarray]], pad_id: int, pad_value: float = PAD_VALUE) -> Tokens:
    """Bring cells from `tokenise` to the length of the longest."""
    lengths = np.array([len(ids) for ids, _ in cells], dtype=int)
    shape = (len(cells), int(lengths.max(initial=0)))
    gene_ids, values = np.full(shape, pad_id, np.int64), np.full(shape, pad_value, np.float32)
    for row, (ids, of) in enumerate(cells):
        gene_ids[row, : len(ids)], values[row, : len(of)] = ids, of
    padding = np.arange(shape[1]) >= lengths[:, None]
    return Tokens(torch.from_numpy(gene_ids), torch.from_numpy(values), torch.from_numpy(padding))


def _first(head: float, rest: np.ndarray, dtype) -> np.ndarray:
    joined = np.empty(len(rest) + 1, dtype)
    joined[0], joined[1:] = head, rest
    return joined


def _known(matrix: sp.csr_matrix, ids: np.ndarray, cell_names: Sequence[str]) -> sp.csr_matrix:
    """Non-zero values of known genes `(cells, tokens)` CSR, the column of a value its token id, columns ascending."""
    matrix, ids = sp.csr_matrix(matrix, copy=True), np.asarray(ids)
    if matrix.shape != (len(cell_names), len(ids)):
        raise ShapeError(
            f"matrix {matrix.shape} does not fit {len(cell_names)} cell names and {len(ids)} ids."
        )
    if len(set(map(str, cell_names))) < len(cell_names):
        raise InputError(
            "Cell names stand twice; each cell needs one of its own, because its draws hang on it."
        )
    if len(np.unique(ids[ids >= 0])) < (ids >= 0).sum():
        raise InputError("Two genes have one token id; keep one column per gene.")
    matrix.sum_duplicates()
    at = np.flatnonzero(ids >= 0)[np.argsort(ids[ids >= 0], kind="stable")]
    picked = matrix[:, at].astype(_floating(matrix.dtype), copy=False)
    picked.eliminate_zeros()
    picked.sort_indices()
    width = int(ids.max(initial=-1)) + 1
    return sp.csr_matrix((picked.data, ids[at][picked.indices], picked.indptr), (matrix.shape[0], width))


def _floating(dtype: np.dtype) -> np.dtype:
    return dtype if np.issubdtype(dtype, np.floating) else np.dtype(float)
