"""What is read off the tokens: expression, expression from the cell embedding, classes of cells.

Source: `scgpt.md` section 2 (names and shapes) and section 3, steps 5, 7 and 8.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from perturbook.models.scgpt.blank import LayerNorm, Linear


class Prediction(NamedTuple):
    """Expression `(cells, L)`, and under explicit zeros the probability that it is not zero; else None."""

    value: Tensor
    nonzero: Tensor | None = None

    @property
    def expected(self) -> Tensor:
        """Probability times value, the mean of what sampling would give; the value where there are no explicit zeros."""
        return self.value if self.nonzero is None else self.nonzero * self.value


def _stack(width: int) -> nn.Sequential:
    return nn.Sequential(
        Linear(width, width), nn.LeakyReLU(), Linear(width, width), nn.LeakyReLU(), Linear(width, 1)
    )


class ExpressionDecoder(nn.Module):
    """Linear, LeakyReLU(0.01), Linear, LeakyReLU, Linear to one number per token."""

    def __init__(self, width: int, explicit_zeros: bool = False):
        super().__init__()
        self.fc = _stack(width)
        self.zero_logit = _stack(width) if explicit_zeros else None

    def forward(self, tokens: Tensor) -> Prediction:
        """Expression of tokens `(cells, L, D)`, in bins for a model trained on bins."""
        value = self.fc(tokens).squeeze(-1)
        if self.zero_logit is None:
            return Prediction(value)
        return Prediction(value, torch.sigmoid(self.zero_logit(tokens).squeeze(-1)))


class MVCDecoder(nn.Module):
    """`(W sigmoid(gene2query(g))) . cell`: what the cell embedding says about each gene (inner-product style)."""

    def __init__(self, width: int, explicit_zeros: bool = False):
        super().__init__()
        self.gene2query = Linear(width, width)
        self.W = Linear(width, width, bias=False)
        self.W_zero_logit = Linear(width, width) if explicit_zeros else None

    def forward(self, cell: Tensor, genes: Tensor) -> Prediction:
        """Expression from cell embeddings `(cells, D)` and gene vectors `(cells, L, D)`, the output of the gene encoder."""
        query = torch.sigmoid(self.gene2query(genes))
        # (W q) . c = q . (c W): one small product per cell instead of one per token
        value = (query @ (cell @ self.W.weight).unsqueeze(2)).squeeze(2)
        if self.W_zero_logit is None:
            return Prediction(value)
        logit = (query @ (cell @ self.W_zero_logit.weight).unsqueeze(2)).squeeze(2)
        return Prediction(value, torch.sigmoid(logit + (cell @ self.W_zero_logit.bias).unsqueeze(1)))


class ClsDecoder(nn.Module):
    """Classes of cells: (Linear, ReLU, LayerNorm) `n_layers - 1` times, then Linear; the norm follows the activation."""

    def __init__(self, width: int, n_classes: int, n_layers: int = 3):
        super().__init__()
        self._decoder = nn.ModuleList()
        for _ in range(n_layers - 1):
            self._decoder += [Linear(width, width), nn.ReLU(), LayerNorm(width)]
        self.out_layer = Linear(width, n_classes)

    def forward(self, cell: Tensor) -> Tensor:
        """Logits `(cells, classes)` of cell embeddings `(cells, D)`."""
        for step in self._decoder:
            cell = step(cell)
        return self.out_layer(cell)


class AffineDecoder(nn.Module):
    """`A value + b`, with A and b from two expression decoders. Source: `scgpt.md` section 4."""

    def __init__(self, width: int, explicit_zeros: bool = False, activation: str | None = None):
        super().__init__()
        self.coeff_decoder = ExpressionDecoder(width, explicit_zeros)
        self.bias_decoder = ExpressionDecoder(width, explicit_zeros)
        self.activation = getattr(nn, activation)() if activation else nn.Identity()

    def forward(self, tokens: Tensor, values: Tensor, scale: Tensor | float = 1.0) -> Prediction:
        """Expression of tokens `(cells, L, D)` given input values `(cells, L)`; `scale` multiplies b, see `adaptive_bias`.

        The probabilities come from the coefficient decoder alone.
        """
        coefficient = self.coeff_decoder(tokens)
        bias = self.bias_decoder.fc(tokens).squeeze(-1)
        made = self.activation(coefficient.value) * values + self.activation(bias) * scale
        return Prediction(made, coefficient.nonzero)
