"""The loss as a module."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from perturbook.errors import ConfigError


class Carried:
    """A batch on its way through Fabric, which would cast the numbers of a bare one to half precision."""

    def __init__(self, batch: Any):
        self.batch = batch


class LossModule(nn.Module):
    """Makes the loss one forward pass for Fabric's wrapper (DDP, autocast), whatever methods of the module it calls."""

    def __init__(self, module: nn.Module, loss_of: Callable):
        super().__init__()
        self.module, self.loss_of = module, loss_of

    def forward(self, carried: Carried, step: int) -> dict[str, torch.Tensor]:
        """Loss terms by name, `loss` among them, each a scalar."""
        return named(self.loss_of(self.module, carried.batch, step))


def named(terms: Any) -> dict:
    """`terms` by name: a single number is the `loss`; raises ConfigError where no term has this name."""
    terms = terms if isinstance(terms, dict) else {"loss": terms}
    if "loss" not in terms:
        raise ConfigError(f"The loss terms are {', '.join(terms) or 'empty'}; one must be named loss.")
    return terms
