"""scGPT in plain torch: the masked model with its heads.

Source: `scgpt.md` section 3. The pre-training forward pass stands in `generative.py`, the perturbation variant in
`perturbation_generator.py`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from perturbook.errors import ConfigError, ShapeError
from perturbook.models.scgpt.blank import Embedding
from perturbook.models.scgpt.generative import Generative
from perturbook.models.scgpt.heads import ClsDecoder, ExpressionDecoder, MVCDecoder
from perturbook.models.scgpt.inputs import check_cell
from perturbook.models.scgpt.layers import Hooks
from perturbook.models.scgpt.loading_report import Report
from perturbook.models.scgpt.sizes import Sizes
from perturbook.models.scgpt.trunk import Trunk
from perturbook.models.scgpt.vocabulary import Vocabulary


class Output(NamedTuple):
    """What a forward pass gives; numbers at padded positions mean nothing."""

    tokens: Tensor
    """Contextual tokens `(cells, L, D)`."""
    cell: Tensor
    """Cell embeddings `(cells, D)`, not normalised."""
    expression: Tensor
    """Expression read off each token `(cells, L)`, in bins; under explicit zeros the expected value."""
    mvc: Tensor | None
    """Expression read off the cell embedding `(cells, L)`, in bins; None for a model without this decoder."""


class ScGPT(Generative, Trunk):
    """The model. Made by `load` or `random_backbone`; knows its sizes, vocabulary and where its weights are from."""

    def __init__(self, sizes: Sizes, vocabulary: Vocabulary | None = None, *, attention_dropout: float = 0.0):
        """A model of shapes alone, see `blank`. Raises ShapeError where vocabulary and gene table differ in length."""
        super().__init__(sizes, attention_dropout)
        if vocabulary is not None and len(vocabulary) != sizes.n_tokens:
            raise ShapeError(
                f"the vocabulary has {len(vocabulary)} tokens, the gene table {sizes.n_tokens} rows; they must agree."
            )
        self.vocabulary = vocabulary
        self.name = "scgpt"
        self.report = Report(origin="made in memory, not loaded from a file")
        self.card: dict[str, Any] = {}
        width, zeros = sizes.embsize, sizes.explicit_zeros
        self.flag_encoder = Embedding(2, width) if sizes.flags else None
        self.decoder = ExpressionDecoder(width, zeros)
        self.cls_decoder = ClsDecoder(width, sizes.n_cls, sizes.n_layers_cls) if sizes.n_cls else None
        self.mvc_decoder = MVCDecoder(width, zeros) if sizes.mvc else None

    @property
    def width(self) -> int:
        """D, length of a cell embedding."""
        return self.sizes.embsize

    @property
    def identity(self) -> str:
        """sha256 over weights, sizes and vocabulary: equal for equal models, whatever file they came from."""
        digest = hashlib.sha256(json.dumps(self.sizes.as_dict(), sort_keys=True).encode())
        digest.update(json.dumps(self.vocabulary.tokens if self.vocabulary else None).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().data)
        return digest.hexdigest()

    def forward(
        self,
        gene_ids: Tensor,
        values: Tensor,
        padding: Tensor | None = None,
        *,
        adapters: Mapping[int, Hooks] | None = None,
    ) -> Output:
        """Tokens, cell embedding and both predictions of expression.

        Args:
            gene_ids: ids `(cells, L)`, int64, `<cls>` first.
            values: bins 0 to n_bins - 1, -1 where masked, `(cells, L)`, float.
            padding: True where padded, `(cells, L)`; None where nothing is.
            adapters: by layer number, what runs behind its two sublayers; see `Hooks`.

        Raises:
            ShapeError: shapes or dtypes do not fit.
            InputError: an id is not in the vocabulary, a value is not finite, or position 0 is padding.
        """
        padding = self.check(gene_ids, values, padding)
        genes = self.encoder(gene_ids)
        tokens = self.transformer_encoder(self.embed_tokens(genes, values, padding), padding, adapters)
        cell = self.pool(tokens, values, padding)
        mvc = None if self.mvc_decoder is None else self.mvc_decoder(cell, genes).expected
        return Output(tokens, cell, self.decoder(tokens).expected, mvc)

    def classify(self, cell: Tensor) -> Tensor:
        """Logits `(cells, classes)` of cell embeddings `(cells, D)`; raises ConfigError without a trained classifier."""
        if self.cls_decoder is None:
            raise ConfigError("this model has no cls_decoder; the released files do not ship one.")
        check_cell("cell", cell, len(cell), self.width)
        return self.cls_decoder(cell)

    def generate(self, cell: Tensor, gene_ids: Tensor, padding: Tensor | None = None) -> Tensor:
        """Expression `(cells, L)`, in bins, of genes that are named without a value, given cell embeddings `(cells, D)`.

        The embedding takes the place of position 0. Source: `scgpt.md` section 3, step 10.
        """
        padding = self.check(gene_ids, None, padding)
        check_cell("cell", cell, len(gene_ids), self.width)
        genes = self.encoder(gene_ids)
        tokens = torch.cat([cell.to(genes.dtype).unsqueeze(1), genes[:, 1:]], dim=1)
        return self.decoder(self.transformer_encoder(tokens, padding)).expected
