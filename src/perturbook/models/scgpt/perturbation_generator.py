"""The perturbation variant: expression after a perturbation from expression before it and a flag on the perturbed genes.

Source: `scgpt.md` section 4. Values are log-normalised expression, not bins. Nothing is sampled: under explicit zeros the
expected value is returned, so that the same input gives the same prediction.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from perturbook.errors import ConfigError, InputError, ShapeError
from perturbook.models.scgpt.blank import Embedding
from perturbook.models.scgpt.heads import AffineDecoder, ClsDecoder, MVCDecoder
from perturbook.models.scgpt.inputs import check_flags
from perturbook.models.scgpt.layers import Hooks
from perturbook.models.scgpt.random_init import fill_at_random
from perturbook.models.scgpt.sizes import Sizes
from perturbook.models.scgpt.state_keys import compare, normalise, set_aside
from perturbook.models.scgpt.trunk import Trunk
from perturbook.models.scgpt.weights_file import read_tensors

ACTIVATIONS = ("ReLU", "LeakyReLU", "Softplus", "Sigmoid", "Tanh", "ELU", "GELU")
SHARED = ("encoder.", "value_encoder.", "transformer_encoder.")
"""Parts that are taken over from a backbone."""


class Perturbed(NamedTuple):
    """What a forward pass gives; numbers at padded positions mean nothing."""

    tokens: Tensor
    """Contextual tokens `(cells, L, D)`."""
    cell: Tensor
    """Cell embeddings `(cells, D)`."""
    expression: Tensor
    """Expected expression `(cells, L)`: `value`, times `nonzero` under explicit zeros."""
    value: Tensor
    """`A * input + b`, `(cells, L)`."""
    nonzero: Tensor | None
    """Probability that a gene is not zero `(cells, L)`; None without explicit zeros."""
    mvc: Tensor | None
    """Expected expression read off the cell embedding `(cells, L)`; None without that decoder."""
    mvc_nonzero: Tensor | None
    """Its probability of not being zero `(cells, L)`; None without explicit zeros."""


class TransformerGenerator(Trunk):
    """`x = g + v + pert_encoder(flag)`, layers, and an affine decoder of the input values."""

    def __init__(
        self,
        sizes: Sizes,
        *,
        pert_pad_id: int = 0,
        activation: str | None = None,
        adaptive_bias: bool = False,
        attention_dropout: float = 0.0,
    ):
        """A model of shapes alone, see `blank`.

        Args:
            sizes: as of the backbone; `explicit_zeros`, `mvc` and `n_cls` say which decoders there are.
            pert_pad_id: flag whose vector stays zero; 0 as in the upstream tutorial, so that only the vector of
                flag 1 is learned. Upstream's class has 2.
            activation: torch's name of an activation of both A and b.
            adaptive_bias: multiply b by the mean of the non-zero input values of the cell.
        """
        super().__init__(sizes, attention_dropout)
        if pert_pad_id not in (0, 1, 2):
            raise ConfigError(f"pert_pad_id is {pert_pad_id!r}, expected 0, 1 or 2.")
        if activation is not None and activation not in ACTIVATIONS:
            raise ConfigError(f"activation is {activation!r}, expected one of {', '.join(ACTIVATIONS)}.")
        width, zeros = sizes.embsize, sizes.explicit_zeros
        self.adaptive_bias = adaptive_bias
        self.pert_encoder = Embedding(3, width, padding_idx=pert_pad_id)
        self.decoder = AffineDecoder(width, zeros, activation)
        self.cls_decoder = ClsDecoder(width, sizes.n_cls, sizes.n_layers_cls) if sizes.n_cls else None
        self.mvc_decoder = MVCDecoder(width, zeros) if sizes.mvc else None

    def forward(
        self,
        gene_ids: Tensor,
        values: Tensor,
        flags: Tensor,
        padding: Tensor | None = None,
        *,
        adapters: Mapping[int, Hooks] | None = None,
    ) -> Perturbed:
        """Expression after the perturbation.

        Args:
            gene_ids: ids `(cells, L)`, int64.
            values: log-normalised expression before the perturbation `(cells, L)`, float.
            flags: 1 where the gene is perturbed, else 0, `(cells, L)`, int64.
            padding: True where padded, `(cells, L)`; None where nothing is.
            adapters: by layer number, what runs behind its two sublayers; see `Hooks`.

        Raises:
            ShapeError, InputError: as `ScGPT.forward`; a flag that is not 0, 1 or 2; with `adaptive_bias`, a cell
                without any non-zero value.
        """
        padding = self.check(gene_ids, values, padding)
        check_flags(flags, gene_ids)
        if padding is not None:
            values = values.masked_fill(padding, 0)
        scale = self._scale(values)
        genes = self.encoder(gene_ids)
        tokens = self.embed_tokens(genes, values, padding) + self.pert_encoder(flags)
        tokens = self.transformer_encoder(tokens, padding, adapters)
        cell = self.pool(tokens, values, padding)
        made = self.decoder(tokens, values.to(tokens.dtype), scale)
        mvc = None if self.mvc_decoder is None else self.mvc_decoder(cell, genes)
        read = (None, None) if mvc is None else (mvc.expected, mvc.nonzero)
        return Perturbed(tokens, cell, made.expected, made.value, made.nonzero, *read)

    def _scale(self, values: Tensor) -> Tensor | float:
        """What b is multiplied by; upstream gives NaN where this raises."""
        if not self.adaptive_bias:
            return 1.0
        number = (values != 0).sum(dim=1, keepdim=True)
        if bool((number == 0).any()):
            cell = int((number == 0).nonzero()[0, 0])
            raise InputError(
                f"cell {cell} has no non-zero value, and adaptive_bias needs their mean; leave it out."
            )
        return values.sum(dim=1, keepdim=True) / number


def from_backbone(backbone: Trunk, seed: int = 0, **options) -> TransformerGenerator:
    """A generator with the gene table, value encoder and layers of `backbone`, copied, and all other parts drawn at random.

    Args:
        backbone: a model with continuous values, such as one that `load` returns.
        seed: of the random parts.
        options: `explicit_zeros` and `mvc` (default False), and those of `TransformerGenerator`.
    """
    parts = {"explicit_zeros": options.pop("explicit_zeros", False), "mvc": options.pop("mvc", False)}
    sizes = replace(backbone.sizes, flags=False, n_cls=0, dropout=0.0, pad_value=0.0, **parts)
    model = TransformerGenerator(sizes, **options).to_empty(device="cpu")
    fill_at_random(model, seed)
    taken = {key: value for key, value in backbone.state_dict().items() if key.startswith(SHARED)}
    missing, unexpected = model.load_state_dict(taken, strict=False)
    if unexpected or any(key.startswith(SHARED) for key in missing):
        raise ShapeError("the backbone has other parts than its sizes say; load it again.")
    return model.eval()


def load_generator(path: Path | str, sizes: Sizes, **options) -> TransformerGenerator:
    """A generator from a file of weights, read as strictly as `load` reads a checkpoint, in eval mode.

    Raises:
        InputError: the file is missing, damaged or unsafe, or its keys and shapes are not those of `sizes`.
    """
    path = Path(path)
    stored = read_tensors(path)
    model = TransformerGenerator(sizes, **options)
    try:
        tensors, _ = set_aside(normalise(stored)[0])
        compare(model, tensors)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    model.load_state_dict({key: one.float() for key, one in tensors.items()}, assign=True)
    return model.requires_grad_(True).eval()
