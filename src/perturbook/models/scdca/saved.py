"""A trained adapter on disk: what was trained, and everything that says on what it stands.

`adapter.safetensors` holds the trained tensors alone, no number of a frozen backbone. `adapter.json` holds the configuration,
the panel, the encoder with what it was fitted on, and the checksum of the backbone. Source: `scdca.md` section 2.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import save_file

from perturbook.errors import ConfigError, InputError
from perturbook.models.molecules import ENCODERS, Encoder
from perturbook.models.scdca.adapted import Adapted
from perturbook.models.scdca.batches import Reader
from perturbook.models.scdca.config import Config
from perturbook.models.scdca.predictor import ScDCA, backbone_of
from perturbook.models.scgpt.model import ScGPT
from perturbook.models.scgpt.weights_file import read_tensors
from perturbook.whole import whole_folder

TENSORS, ABOUT, FORMAT = "adapter.safetensors", "adapter.json", 1


def save(made: ScDCA, folder: Path | str) -> Path:
    """Write a fitted predictor: the whole folder or nothing.

    Raises:
        ConfigError: it was not fitted.
    """
    folder = Path(folder)
    if not hasattr(made, "model"):
        raise ConfigError("this predictor was not fitted; call fit first.")
    given = {one.name: getattr(made, one.name) for one in fields(made)}
    plain = {k: v for k, v in given.items() if isinstance(v, str | int | float | bool | None)}
    fitted_on = list(made.encoding.fitted_on)
    about = {
        "format": FORMAT,
        "config": made.config.as_dict(),
        "settings": plain,
        "m": made.encoding.width,
        "encoder": made.encoding.name,
        "encoder_settings": made.encoding.settings,
        "fitted_on": fitted_on,
        "perturbations": made.table.reindex(fitted_on).reset_index().to_dict("list")
        if len(made.table)
        else {},
        "genes": made.genes_of_panel,
        "backbone": made.backbone if isinstance(made.backbone, str) else made.backbone.name,
        "backbone_sha256": made.backbone_sha256,
        "trained": made.model.n_trained,
    }
    with whole_folder(folder) as making:
        save_file({k: v.contiguous() for k, v in made.model.trained().items()}, making / TENSORS)
        (making / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def load(folder: Path | str, backbone: str | ScGPT | None = None, encoder: Encoder | None = None) -> ScDCA:
    """A predictor as it was saved, ready to predict.

    Args:
        folder: from `save`.
        backbone: a model or a name in the registry; the name that was saved if None.
        encoder: what encodes perturbations, not fitted; the registry's entry of the saved name if None.

    Raises:
        InputError: a file is missing or damaged, or the backbone has another checksum than the one trained on.
    """
    folder = Path(folder)
    about = _read(folder / ABOUT)
    named = about["backbone"] if backbone is None else backbone
    model = backbone_of(named) if isinstance(named, str) else named
    if model.identity != about["backbone_sha256"]:
        raise InputError(
            f"{folder} was trained on a backbone with sha256 {about['backbone_sha256']}, and this one has "
            f"{model.identity}; load the one it was trained on."
        )
    settings = about["settings"] | {"backbone": named, "encoder": about["encoder"]}
    made = ScDCA(config=Config(**about["config"]), **settings)
    made.table = pd.DataFrame(about["perturbations"])
    made.table = made.table.set_index(made.table.columns[0]) if len(made.table) else made.table
    made.encoding = (encoder or ENCODERS[about["encoder"]]()).fit(made.table, about["fitted_on"])
    if (own := json.loads(json.dumps(made.encoding.settings))) != about["encoder_settings"]:
        raise InputError(
            f"{folder} was trained on the encoder {about['encoder']!r} with {about['encoder_settings']}, and this one has {own}; "
            "make it with these options and give it as encoder=."
        )
    made.genes_of_panel, made.backbone_sha256 = about["genes"], about["backbone_sha256"]
    made.reader = Reader.of(model, made.config, model.vocabulary.ids_of(about["genes"]))
    made.model = Adapted(model, made.config, about["m"], made.seed)
    _fill(made.model, folder)
    return made


def _fill(model: Adapted, folder: Path) -> None:
    stored, own = read_tensors(folder / TENSORS), dict(model.named_parameters())
    expected = {name: one.shape for name, one in own.items() if one.requires_grad}
    if {name: one.shape for name, one in stored.items()} != expected:
        differ = sorted(stored.keys() ^ expected.keys())[:3] or "shapes"
        raise InputError(f"{folder / TENSORS} does not hold what its configuration trains: {differ} differ.")
    with torch.no_grad():
        for name, one in stored.items():
            own[name].copy_(one)


def _read(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read; a saved adapter is a folder with {ABOUT} and {TENSORS}."
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}); copy it again.") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise InputError(f"{path} is not a saved adapter of format {FORMAT}; train it again.")
    return about
