"""Modules without numbers: shapes alone, on the meta device, until a file or a generator fills them.

A model of them costs neither memory nor time before its weights are read, cannot keep a random start by mistake, and
raises where it is used unfilled. Source: our choice.
"""

import torch
from torch import Tensor, nn

from perturbook.models.scgpt.linear import linear


def parameter(*shape: int) -> nn.Parameter:
    """A parameter of this shape without numbers."""
    return nn.Parameter(torch.empty(*shape, device="meta"))


class Linear(nn.Linear):
    """torch's linear map without numbers, computed by `linear`."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        super().__init__(inputs, outputs, bias=bias, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        """`(..., inputs)` to `(..., outputs)`."""
        return linear(x, self.weight, self.bias)

    def reset_parameters(self) -> None:
        """Leave the parameters as they are."""


class Embedding(nn.Embedding):
    """torch's table without numbers."""

    def __init__(self, rows: int, width: int, padding_idx: int | None = None):
        super().__init__(rows, width, padding_idx=padding_idx, device="meta")

    def reset_parameters(self) -> None:
        """Leave the table as it is."""


class LayerNorm(nn.LayerNorm):
    """torch's layer norm, eps 1e-5, without numbers."""

    def __init__(self, width: int):
        super().__init__(width, device="meta")

    def reset_parameters(self) -> None:
        """Leave the parameters as they are."""
