"""The state of a run on disk: everything that the next step depends on, in one file, written whole or not at all."""

import hashlib
import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from perturbook.errors import ConfigError, InputError
from perturbook.models.training.history import History
from perturbook.models.training.settings import Settings

NAME = "state.pt"
FORMAT = 1


@dataclass
class State:
    """Where a run stands. No random state is kept: every batch draws from a generator of its own, keyed by its number."""

    step: int = 0
    """Updates made."""
    epoch: int = 0
    """Epoch of the next batch."""
    first: int = 0
    """Number, over all epochs, of the first batch of that epoch."""
    history: History = field(default_factory=History)
    best: dict | None = None
    """Lowest validation so far: `loss`, `step`, `weights`."""
    since_best: int = 0
    """Validations since then."""
    finished: bool = False


def changing(module: nn.Module) -> dict[str, torch.Tensor]:
    """Trained parameters and buffers of `module`, by name, copied to the CPU."""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    return {
        name: tensor.detach().cpu().clone()
        for name, tensor in module.state_dict().items()
        if name not in frozen and isinstance(tensor, torch.Tensor)
    }


def load_changing(module: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Put weights from `changing` back; raises InputError where names or shapes are those of another module."""
    own = changing(module)
    differ = sorted(own.keys() ^ weights.keys()) or sorted(
        name for name in own if own[name].shape != weights[name].shape
    )
    if differ:
        raise InputError(
            f"The kept state is of another module: {', '.join(differ[:3])} differ{'s' if len(differ) == 1 else ''}. "
            "Use another folder, or delete it to begin anew."
        )
    module.load_state_dict(weights, strict=False)


def frozen_sha256(module: nn.Module) -> str:
    """sha256 over the parameters that are not trained; a run goes on only over the same ones."""
    digest = hashlib.sha256()
    for name, parameter in sorted(module.named_parameters()):
        if not parameter.requires_grad:
            digest.update(
                name.encode() + parameter.detach().cpu().contiguous().view(torch.uint8).numpy().data
            )
    return digest.hexdigest()


def save_state(
    folder: Path, state: State, module: nn.Module, optimizer: dict, scaler: dict, settings: Settings
) -> None:
    """Write the state to a temporary file in `folder` and move it into place."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "format": FORMAT,
        "settings": settings.deciding(),
        "frozen": frozen_sha256(module),
        "module": changing(module),
        "optimizer": optimizer,
        "scaler": scaler,
        **vars(state),
        "history": vars(state.history),
    }
    partial = folder / (NAME + ".part")
    with partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / NAME)


def read_state(folder: Path, module: nn.Module, settings: Settings) -> tuple[State, dict, dict] | None:
    """State kept in `folder` with the dictionaries of optimiser and scaler, its weights put into `module`; None without one.

    Raises:
        InputError: the file is damaged, of another format, or of another module.
        ConfigError: it was written under other settings.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} cannot be read as the state of a run; delete it to begin anew.") from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise InputError(f"{path} is not a state of format {FORMAT}; delete it to begin anew.")
    now, then = settings.deciding(), content.pop("settings")
    if differ := sorted(name for name in now if now[name] != then.get(name)):
        told = ", ".join(f"{name} {then.get(name)!r} (now {now[name]!r})" for name in differ)
        raise ConfigError(
            f"{path} was written with {told}. Go on with equal settings, or use another folder."
        )
    if content.pop("frozen") != frozen_sha256(module):
        raise InputError(f"{path} stands on other frozen weights; load those it was trained with.")
    load_changing(module, content.pop("module"))
    optimizer, scaler = content.pop("optimizer"), content.pop("scaler")
    return State(history=History.from_dict(content.pop("history")), **content), optimizer, scaler
