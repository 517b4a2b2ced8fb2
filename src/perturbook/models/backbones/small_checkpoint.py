"""`small`: the scGPT checkpoint that this project trained and ships."""

from pathlib import Path
from typing import Any

from anndata import AnnData

from perturbook.models.backbones.backbone import recipe
from perturbook.models.backbones.scgpt_backbone import ScGPTBackbone
from perturbook.models.scgpt import load

SMALL = Path(__file__).parents[1] / "checkpoints" / "small"
"""The folder of the shipped checkpoint."""


@recipe("small", title="scGPT, small", fitted=False, passes_on_to=ScGPTBackbone)
def small(
    cells: AnnData | None = None, seed: int = 0, *, folder: str | Path = SMALL, **options: Any
) -> ScGPTBackbone:
    """The shipped checkpoint, or one in `folder`; `cells` are not looked at. Options: those of `ScGPTBackbone`."""
    made = ScGPTBackbone(load(folder), seed=seed, **options)
    made.name, made.title = "small", "scGPT, small"
    return made
