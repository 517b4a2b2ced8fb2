"""scDCA: a drug-conditional adapter on a frozen single-cell foundation model. Source: arXiv 2412.13478, `scdca.md`."""

from perturbook.models.scdca.adapted import Adapted
from perturbook.models.scdca.budget import (
    LIMIT,
    WHOLE_HUMAN,
    adapter_size,
    largest_bottleneck,
    over_budget,
    trainable_parameters,
    trainable_share,
)
from perturbook.models.scdca.config import Config
from perturbook.models.scdca.predictor import ScDCA
from perturbook.models.scdca.saved import load, save

__all__ = [
    "LIMIT",
    "WHOLE_HUMAN",
    "Adapted",
    "Config",
    "ScDCA",
    "adapter_size",
    "largest_bottleneck",
    "load",
    "over_budget",
    "save",
    "trainable_parameters",
    "trainable_share",
]
