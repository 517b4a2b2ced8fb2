"""AdamW over what is trained, and the seed of every batch."""

import numpy as np
import torch
from torch import nn

from perturbook.models.training.settings import Settings


def make_optimizer(module: nn.Module, settings: Settings) -> torch.optim.AdamW:
    """AdamW over the parameters with `requires_grad`; only those with two axes or more decay. Source: our choice."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in trained if one.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [one for one in trained if one.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate)


def batch_seed(seed: int, number: int) -> int:
    """Seed of torch for batch `number`: the same whatever process takes it, and wherever a run was interrupted."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))
