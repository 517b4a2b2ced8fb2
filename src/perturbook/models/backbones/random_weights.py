"""`random`: the architecture and vocabulary of the shipped checkpoint with random weights, which have learned nothing.

What it scores is what the architecture, the tokens and the data give by themselves. Source: our choice.
"""

from pathlib import Path
from typing import Any

from anndata import AnnData

from perturbook.models.backbones.backbone import recipe
from perturbook.models.backbones.scgpt_backbone import ScGPTBackbone
from perturbook.models.backbones.small_checkpoint import SMALL
from perturbook.models.scgpt import load, random_backbone


@recipe("random", title="scGPT, random weights", fitted=False, passes_on_to=ScGPTBackbone)
def random_weights(
    cells: AnnData | None = None,
    seed: int = 0,
    *,
    weights_seed: int = 0,
    folder: str | Path = SMALL,
    **options: Any,
) -> ScGPTBackbone:
    """Random weights in the sizes of the checkpoint in `folder`; `cells` are not looked at.

    Args:
        cells: ignored.
        seed: decides ties and which genes of a long cell are kept, as for the trained model.
        weights_seed: decides the weights.
        folder: the checkpoint whose sizes and vocabulary are taken.
        options: those of `ScGPTBackbone`.
    """
    like = load(folder)
    made = ScGPTBackbone(random_backbone(like.sizes, weights_seed, like.vocabulary), seed=seed, **options)
    made.name, made.title, made.key = "random", "scGPT, random weights", "X_random"
    return made
