"""scGPT in plain torch: no flash-attn, no torchtext, strict loading. Source: `scgpt.md`."""

from perturbook.models.scgpt.checkpoint import load, save
from perturbook.models.scgpt.generative import Generated
from perturbook.models.scgpt.layers import Hooks
from perturbook.models.scgpt.loading_report import Report
from perturbook.models.scgpt.model import Output, ScGPT
from perturbook.models.scgpt.random_init import random_backbone
from perturbook.models.scgpt.sizes import Sizes
from perturbook.models.scgpt.vocabulary import Vocabulary

__all__ = [
    "Generated",
    "Hooks",
    "Output",
    "Report",
    "ScGPT",
    "Sizes",
    "Vocabulary",
    "load",
    "random_backbone",
    "save",
]
