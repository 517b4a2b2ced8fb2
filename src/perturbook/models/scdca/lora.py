"""LoRA, the comparator of equal budget: W + B A on the packed and the output projection of attention.

Source: Hu et al. 2021 (arXiv 2106.09685), section 4, with alpha = rank; where it goes is `scdca.md` section 2.1.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from perturbook.models.scgpt.layers import SelfAttention


class LowRank(nn.Module):
    """`W -> W + B A`; B is zero at the start."""

    def __init__(self, outputs: int, inputs: int, rank: int):
        super().__init__()
        self.a = nn.Parameter(torch.empty(rank, inputs))
        self.b = nn.Parameter(torch.zeros(outputs, rank))
        if not self.a.is_meta:
            nn.init.kaiming_uniform_(self.a, a=5**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its low-rank change, in the shape of `weight`."""
        return torch.addmm(weight, self.b, self.a)


def add_lora(module: nn.Module, rank: int) -> None:
    """Put a `LowRank` on both projections of every attention in `module`, whose own weights stay as they are."""
    for part in [one for one in module.modules() if isinstance(one, SelfAttention)]:
        for holder, name in ((part, "in_proj_weight"), (part.out_proj, "weight")):
            weight = getattr(holder, name)
            with torch.device(weight.device):
                parametrize.register_parametrization(holder, name, LowRank(*weight.shape, rank), unsafe=True)
