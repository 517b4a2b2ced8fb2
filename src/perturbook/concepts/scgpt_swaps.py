"""scGPT as an encoder that answers what one gene does: deterministic tokens, and passes that differ in one of them.

Ties of binning take the upper edge, so nothing is drawn. Source: `concepts.md` sections 4 and 5.3.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from perturbook.concepts.one_token_change import OneTokenChange
from perturbook.concepts.swap_encoder import Readout
from perturbook.concepts.token_gates import gated_cell
from perturbook.errors import ConfigError
from perturbook.models.scgpt import ScGPT
from perturbook.models.scgpt.binning import bin_values
from perturbook.models.scgpt.tokens import MAX_LENGTH

TOKENS_PER_BATCH = 8192
"""Tokens whose embeddings are in memory at once."""


class ScGPTSwaps:
    """Position 0 of a cell, scaled to length 1, as the backbone gives it under `ties="one"`.

    A cell of more than `max_length` - 1 known genes is read on the list of its pair; the backbone draws which are left out.

    Args:
        model: from `load` or `random_backbone`, in evaluation mode and float32.
        genes: symbols of the columns of the counts; those outside the vocabulary are never read.
        max_length: most tokens of a cell, `<cls>` among them.

    Raises:
        ConfigError: the model is in training mode, not float32, has no vocabulary, or does not read cells off `<cls>`.
        InputError: fewer than half of the genes are in the vocabulary.
    """

    def __init__(self, model: ScGPT, genes: Sequence[str], max_length: int = MAX_LENGTH):
        if model.training or next(model.parameters()).dtype != torch.float32:
            raise ConfigError(
                "Attribution needs the model in evaluation mode and float32: model.eval().float()."
            )
        if model.vocabulary is None or model.sizes.cell_emb_style != "cls":
            raise ConfigError("Attribution needs a model with a vocabulary that reads a cell off <cls>.")
        if max_length < 2:
            raise ConfigError(f"max_length is {max_length}; <cls> and one gene need 2.")
        self.model, self.width, self.most_genes = model, model.width, max_length - 1
        self.mask_value = model.sizes.mask_value
        self.ids = model.vocabulary.ids_of_data(genes)

    @cached_property
    def identity(self) -> str:
        """sha256 over weights, sizes, vocabulary, the rule for ties and the longest cell."""
        said = f"{self.model.identity} upper edge {self.most_genes}"
        return hashlib.sha256(said.encode()).hexdigest()

    def read(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """Bins of the known genes of each cell, `(cells, genes)` CSR float32, over all of them whatever is listed later."""
        kept = sp.csr_matrix(counts, copy=True)
        kept.sum_duplicates()
        kept.data[self.ids[kept.indices] < 0] = 0
        kept.eliminate_zeros()
        bins = [
            bin_values(kept.data[start:stop], n_bins=self.model.sizes.n_bins)
            for start, stop in zip(kept.indptr[:-1], kept.indptr[1:], strict=True)
        ]
        data = np.concatenate([*bins, np.zeros(0)]).astype(np.float32)
        return sp.csr_matrix((data, kept.indices, kept.indptr), kept.shape)

    @torch.inference_mode()
    def embed(self, genes: np.ndarray, values: np.ndarray) -> Tensor:
        """Vectors of length 1, `(n, width)`; cells of one length go through the model together, so nothing is padded."""
        there = values != 0
        lengths = there.sum(1)
        cells = torch.empty(len(values), self.width)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            size = max(1, TOKENS_PER_BATCH // (int(length) + 1))
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                ids = np.broadcast_to(self.ids[genes], there[part].shape)[there[part]]
                tokens = self._tokens(ids.reshape(len(part), -1), values[part][there[part]])
                cells[part] = self.model.encode_cell(*tokens).cpu()
        return F.normalize(cells, dim=1)

    @torch.inference_mode()
    def swapped(self, genes: np.ndarray, base: np.ndarray, at: np.ndarray, new: np.ndarray) -> Tensor:
        """Vectors of length 1, `(n, width)`; equal to `embed` of the whole inputs up to rounding."""
        if self.model.sizes.nlayers < 2:
            values = np.repeat(base[None], len(at), axis=0)
            values[np.arange(len(at)), at] = new
            return self.embed(genes, values)
        there = base != 0
        cell = OneTokenChange(
            self.model, *(one[0] for one in self._tokens(self.ids[genes[there]][None], base[there]))
        )
        place = torch.from_numpy(np.cumsum(there)[at]).to(self.device)  # <cls> stands first
        ids, values = (
            torch.from_numpy(one).to(self.device) for one in (self.ids[genes[at]], new.astype(np.float32))
        )
        cells = torch.empty(len(at), self.width)
        was, becomes = there[at], new != 0
        for rows, answer in (
            (was & becomes, lambda of: cell.cells(place[of], values[of])),
            (was & ~becomes, lambda of: cell.without(place[of])),
            (~was & becomes, lambda of: cell.beside(ids[of], values[of])),
        ):
            if rows.any():
                cells[rows] = answer(torch.from_numpy(rows).to(self.device)).cpu()
        return F.normalize(cells, dim=1)

    def first_order(
        self, genes: np.ndarray, base: np.ndarray, other: np.ndarray, readout: Readout
    ) -> np.ndarray:
        """`(readouts, L)`: minus the derivative by the gate of the old token, plus that by the gate of the new one.

        A value change is taken as a removal and an addition, because attention and the encoder of values are too curved
        between two bins for the derivative by the value.
        """
        there, fresh = np.flatnonzero(base), np.flatnonzero((other != 0) & (other != base))
        listed = np.r_[there, fresh]
        ids, values = self._tokens(self.ids[genes[listed]][None], np.r_[base[there], other[fresh]])
        gates = torch.ones(len(listed) + 1, device=self.device, requires_grad=True)
        with torch.no_grad():
            tokens = self.model.embed_tokens(self.model.encoder(ids), values, None)[0]
        cell = gated_cell(self.model, tokens[: len(there) + 1], tokens[len(there) + 1 :], gates)
        read = readout(F.normalize(cell, dim=1).cpu())[0]
        slopes = torch.stack([torch.autograd.grad(one, gates, retain_graph=True)[0][1:] for one in read])
        change = np.zeros((len(read), len(genes)))
        change[:, there] -= slopes[:, : len(there)].cpu().numpy()
        change[:, fresh] += slopes[:, len(there) :].cpu().numpy()
        return np.where(base != other, change, 0)

    @property
    def device(self) -> torch.device:
        """Where the model is; everything handed back is on the CPU."""
        return next(self.model.parameters()).device

    def _tokens(self, ids: np.ndarray, values: np.ndarray) -> tuple[Tensor, Tensor]:
        """Ids and values `(n, L + 1)` with `<cls>` first, of ids `(n, L)` and as many values."""
        sizes = self.model.sizes
        all_ids = np.full((len(ids), ids.shape[1] + 1), self.model.vocabulary.cls, np.int64)
        all_values = np.full(all_ids.shape, sizes.pad_value, np.float32)
        all_ids[:, 1:], all_values[:, 1:] = ids, values.reshape(ids.shape)
        return torch.from_numpy(all_ids).to(self.device), torch.from_numpy(all_values).to(self.device)
