"""A backbone with random weights, for tests, for pages without a checkpoint, and as the start of pre-training.

Unlike upstream's, its layers are independent of each other and its row of padding is zero. Source: our choice, after
`scgpt.md` section 3; ranges are torch's own defaults, those of the gene table upstream's.
"""

import math

import torch
from torch import nn

from perturbook.errors import ConfigError
from perturbook.models.scgpt.layers import SelfAttention
from perturbook.models.scgpt.loading_report import Report
from perturbook.models.scgpt.model import ScGPT
from perturbook.models.scgpt.sizes import Sizes
from perturbook.models.scgpt.vocabulary import Vocabulary

TABLE = 0.1
"""The gene table is drawn from the interval from -0.1 to 0.1."""


def random_backbone(sizes: Sizes, seed: int = 0, vocabulary: Vocabulary | None = None) -> ScGPT:
    """An untrained model in eval mode; equal for equal sizes and seed, whatever torch's own seed.

    Args:
        sizes: of the model; without `vocabulary`, the last three of `n_tokens` are `<pad>`, `<cls>` and `<eoc>`,
            the others GENE0, GENE1 and so on.
        seed: of all draws.
        vocabulary: tokens of the gene table.

    Raises:
        ConfigError: `n_tokens` leaves no gene, or `pad_id` is not that of the vocabulary.
        ShapeError: the vocabulary has another length than the gene table.
    """
    if vocabulary is None:
        if sizes.n_tokens < 4:
            raise ConfigError(
                f"n_tokens is {sizes.n_tokens}, expected at least one gene and three special tokens."
            )
        vocabulary = Vocabulary.of(f"GENE{i}" for i in range(sizes.n_tokens - 3))
    if sizes.pad_id != vocabulary.pad:
        raise ConfigError(
            f"pad_id is {sizes.pad_id}, <pad> of the vocabulary {vocabulary.pad}; they must agree."
        )
    model = ScGPT(sizes, vocabulary).to_empty(device="cpu")
    fill_at_random(model, seed)
    model.name = "random"
    model.report = Report(
        origin=f"random weights, seed {seed}: this backbone has learned nothing; its layers are independent of "
        f"each other and its row of padding is zero"
    )
    return model.eval()


def fill_at_random(module: nn.Module, seed: int) -> None:
    """Draw every parameter of `module` in the order of its parts from one generator."""
    draw = torch.Generator().manual_seed(seed)

    def uniform(parameter: nn.Parameter, bound: float) -> None:
        nn.init.uniform_(parameter, -bound, bound, generator=draw)

    for part in module.modules():
        if isinstance(part, nn.Linear):
            for parameter in part.parameters(recurse=False):
                uniform(parameter, 1 / math.sqrt(part.in_features))
        elif isinstance(part, nn.Embedding):
            uniform(part.weight, TABLE)
            if part.padding_idx is not None:
                nn.init.zeros_(part.weight.data[part.padding_idx])
        elif isinstance(part, SelfAttention):
            nn.init.xavier_uniform_(part.in_proj_weight, generator=draw)
            nn.init.zeros_(part.in_proj_bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
