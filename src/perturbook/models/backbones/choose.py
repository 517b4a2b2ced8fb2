"""Which backbone is meant: a name of the registry, a checkpoint folder, a model, or a backbone that is there already."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anndata import AnnData

from perturbook.errors import ConfigError
from perturbook.models.backbones.backbone import BACKBONES, Backbone, with_seed
from perturbook.models.backbones.scgpt_backbone import ScGPTBackbone
from perturbook.models.backbones.scvi import ScviBackbone
from perturbook.models.backbones.scvi_files import TABLE
from perturbook.models.scgpt import ScGPT, load

OWN = {"cells", "adata", "model", "seed"}
"""Parameters of a maker that are no options."""


def is_fitted_here(backbone: Any) -> bool:
    """Whether `backbone` names one that must be fitted on the cells it is to embed."""
    return isinstance(backbone, str) and backbone in BACKBONES and BACKBONES[backbone].fitted


def choose(backbone: Any, cells: AnnData | None, seed: int | None, options: dict[str, Any]) -> Backbone:
    """The backbone that is meant.

    Args:
        backbone: name in `BACKBONES`, path of a folder saved by scGPT or scVI, an `ScGPT`, or a `Backbone`.
        cells: to fit on, where the name is of one that is fitted.
        seed: of its draws; None is 0, or what a finished `Backbone` has.
        options: of its making; none for a finished `Backbone`.

    Raises:
        ConfigError: there is no such name and no such folder, or an option does not exist.
        InputError: the folder is no checkpoint.
    """
    if isinstance(backbone, str | Path):
        if isinstance(backbone, str) and backbone in BACKBONES:
            recipe = BACKBONES[backbone]
            _refuse_unknown(backbone, options, recipe.make, recipe.passes_on_to)
            return recipe.make(cells, seed=seed or 0, **options)
        path = Path(backbone)
        if not path.exists():
            raise ConfigError(
                f"Unknown backbone {str(backbone)!r}. Known: {', '.join(sorted(BACKBONES))}; or the path of a checkpoint "
                "folder, and there is none of this name."
            )
        if (path / TABLE).is_file():
            return _ready(ScviBackbone.load(path), seed, options)
        backbone = load(path)
    if isinstance(backbone, ScGPT):
        _refuse_unknown(backbone.name, options, ScGPTBackbone, None)
        return ScGPTBackbone(backbone, seed=seed or 0, **options)
    return _ready(backbone, seed, options)


def _ready(backbone: Any, seed: int | None, options: dict[str, Any]) -> Backbone:
    lacking = [
        name
        for name in ("name", "title", "width", "key", "identity", "genes", "encode")
        if not hasattr(backbone, name)
    ]
    if lacking:
        raise ConfigError(f"A {type(backbone).__name__} is no backbone: it has no {', '.join(lacking)}.")
    if options:
        raise ConfigError(
            f"{backbone.name} is made already and takes no option {', '.join(sorted(options))}."
        )
    return with_seed(backbone, seed)


def _refuse_unknown(
    name: str, options: dict[str, Any], make: Callable, passes_on_to: Callable | None
) -> None:
    """Raise ConfigError for an option that neither takes; those that there are are named."""
    takers = [inspect.signature(taker).parameters.values() for taker in (make, passes_on_to) if taker]
    if passes_on_to is None and any(one.kind is one.VAR_KEYWORD for one in takers[0]):
        return
    known = {one.name for taken in takers for one in taken if one.kind is not one.VAR_KEYWORD} - OWN
    if unknown := sorted(set(options) - known):
        raise ConfigError(
            f"Backbone {name} has no option {', '.join(unknown)}; it has {', '.join(sorted(known))}."
        )
