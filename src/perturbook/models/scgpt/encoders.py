"""From ids and values to vectors: the gene table and the encoders of values. Source: `scgpt.md` section 3, steps 1-2."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perturbook.errors import InputError
from perturbook.models.scgpt.blank import Embedding, LayerNorm, Linear

HIGHEST = 512.0
"""Values above enter as this; the lower side is not clamped."""


class GeneEncoder(nn.Module):
    """`LayerNorm(embedding(ids))`; the row of padding is zero and gets no gradient."""

    def __init__(self, n_tokens: int, width: int, pad_id: int):
        super().__init__()
        self.embedding = Embedding(n_tokens, width, padding_idx=pad_id)
        self.enc_norm = LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors `(cells, L, D)` of gene ids `(cells, L)`."""
        return self.enc_norm(self.embedding(ids))


class ContinuousValues(nn.Module):
    """`LayerNorm(W2 relu(W1 min(value, 512) + b1) + b2)`, then dropout: values enter as they are, unscaled."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.linear1, self.linear2 = Linear(1, width), Linear(width, width)
        self.norm = LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor) -> Tensor:
        """Vectors `(cells, L, D)` of values `(cells, L)`."""
        values = values.to(self.linear1.weight.dtype).clamp(max=HIGHEST).unsqueeze(-1)
        return self.dropout(self.norm(self.linear2(F.relu(self.linear1(values), inplace=True))))


class CategoryValues(nn.Module):
    """`LayerNorm(embedding(bin))`: one learned vector per bin."""

    def __init__(self, n_bins: int, width: int):
        super().__init__()
        self.embedding = Embedding(n_bins, width)
        self.enc_norm = LayerNorm(width)

    def forward(self, values: Tensor) -> Tensor:
        """Vectors `(cells, L, D)` of bins `(cells, L)`; raises InputError for a value that is no row of the table."""
        bins = values.to(torch.int64)
        if bool(((bins != values) | (bins < 0) | (bins >= self.embedding.num_embeddings)).any()):
            raise InputError(
                f"this model reads values as categories 0 to {self.embedding.num_embeddings - 1}, and others were "
                f"given; bin them, and use its own values for padding and mask."
            )
        return self.enc_norm(self.embedding(bins))


def value_encoder(style: str, width: int, n_bins: int, dropout: float) -> nn.Module:
    """Encoder of values for an `input_emb_style`; "scaling" has none, there values multiply the gene vectors."""
    if style == "continuous":
        return ContinuousValues(width, dropout)
    return CategoryValues(n_bins, width) if style == "category" else nn.Identity()


def combine(style: str, genes: Tensor, values: Tensor, encoder: nn.Module) -> Tensor:
    """Token vectors `(cells, L, D)`: gene vectors plus value vectors, or times the values under "scaling"."""
    if style == "scaling":
        return genes * values.to(genes.dtype).unsqueeze(-1)
    return genes + encoder(values)
