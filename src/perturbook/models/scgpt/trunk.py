"""What every variant shares: the gene table, the encoder of values, the layers, and how a cell is read off its tokens.

Source: `scgpt.md` section 3, steps 1 to 4 and 6.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perturbook.models.scgpt.encoders import GeneEncoder, combine, value_encoder
from perturbook.models.scgpt.inputs import check_first, check_ids, check_padding, check_values
from perturbook.models.scgpt.layers import Hooks, Layers
from perturbook.models.scgpt.sizes import Sizes


class Trunk(nn.Module):
    """Gene ids and values in, contextual tokens out; no positional encoding."""

    def __init__(self, sizes: Sizes, attention_dropout: float = 0.0):
        """A model of shapes alone, see `blank`; `load` or `random_backbone` fills it.

        Attention dropout is 0 because it makes attention on a CPU two to three times slower in training.
        """
        super().__init__()
        self.sizes = sizes
        width = sizes.embsize
        self.encoder = GeneEncoder(sizes.n_tokens, width, sizes.pad_id)
        self.value_encoder = value_encoder(sizes.input_emb_style, width, sizes.n_input_bins, sizes.dropout)
        self.transformer_encoder = Layers(
            sizes.nlayers,
            width,
            sizes.nheads,
            sizes.d_hid,
            sizes.dropout,
            attention_dropout=attention_dropout,
        )

    def check(self, gene_ids: Tensor, values: Tensor | None, padding: Tensor | None) -> Tensor | None:
        """The padding mask, or None where nothing is padded.

        Raises:
            ShapeError: shapes or dtypes do not fit.
            InputError: an id is not in the vocabulary, a value is not finite, or position 0 is padding.
        """
        check_ids("gene_ids", gene_ids, self.sizes.n_tokens)
        if values is not None:
            check_values("values", values, gene_ids)
        padding = check_padding("padding", padding, gene_ids)
        check_first(padding)
        return padding

    def embed_tokens(self, genes: Tensor, values: Tensor, padding: Tensor | None) -> Tensor:
        """Token vectors `(cells, L, D)` of gene vectors `(cells, L, D)` and values `(cells, L)`."""
        if padding is not None:  # so that no number there, however large, can reach a real token
            values = values.masked_fill(padding, 0)
        return combine(self.sizes.input_emb_style, genes, values, self.value_encoder)

    def encode(
        self,
        gene_ids: Tensor,
        values: Tensor,
        padding: Tensor | None = None,
        *,
        adapters: Mapping[int, Hooks] | None = None,
        layers: bool = False,
        last_row_only: bool = False,
    ) -> Tensor:
        """Contextual tokens `(cells, L, D)`, without the heads; what stands at padded positions means nothing.

        Args:
            gene_ids: ids `(cells, L)`, int64, `<cls>` first.
            values: bins or what the model was trained on, `(cells, L)`, float.
            padding: True where padded, `(cells, L)`; None where nothing is.
            adapters: by layer number, what runs behind its two sublayers; see `Hooks`.
            layers: return the tokens after each layer instead, `(layers, cells, L, D)`.
            last_row_only: compute position 0 alone in the last layer and return it, `(cells, 1, D)`; its value
                is that of the full call, and the queries and feed-forward of all other tokens are saved there. The hooks
                of that layer then see position 0 alone.

        Raises:
            ShapeError, InputError: see `check`; before any computing.
            ConfigError: `adapters` names a layer that does not exist, or `layers` and `last_row_only` are both asked for.
        """
        padding = self.check(gene_ids, values, padding)
        tokens = self.embed_tokens(self.encoder(gene_ids), values, padding)
        return self.transformer_encoder(tokens, padding, adapters, layers, last_row_only)

    def pool(self, tokens: Tensor, values: Tensor, padding: Tensor | None = None) -> Tensor:
        """Cell embeddings `(cells, D)` of tokens `(cells, L, D)`, by the model's `cell_emb_style`.

        "cls" is position 0; "avg-pool" averages real tokens, never padding; "w-pool" weighs real tokens by their
        values and scales the sum to length 1.
        """
        style = self.sizes.cell_emb_style
        if style == "cls":
            return tokens[:, 0]
        real = torch.ones_like(values) if padding is None else (~padding).to(values.dtype)
        weight = real / real.sum(dim=1, keepdim=True) if style == "avg-pool" else real * values
        # where, not a product with zero: what stands at padded positions may be anything
        tokens = tokens if padding is None else tokens.masked_fill(padding.unsqueeze(2), 0)
        pooled = (tokens * weight.to(tokens.dtype).unsqueeze(2)).sum(dim=1)
        return F.normalize(pooled, dim=1) if style == "w-pool" else pooled

    def encode_cell(
        self,
        gene_ids: Tensor,
        values: Tensor,
        padding: Tensor | None = None,
        *,
        adapters: Mapping[int, Hooks] | None = None,
    ) -> Tensor:
        """Cell embeddings `(cells, D)`, not normalised: those of `forward` at less cost; arguments as of `encode`."""
        first = self.sizes.cell_emb_style == "cls"
        tokens = self.encode(gene_ids, values, padding, adapters=adapters, last_row_only=first)
        return self.pool(tokens, values, padding)
