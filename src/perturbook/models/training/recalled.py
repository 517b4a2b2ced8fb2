"""Equal trainings are made once.

Training is deterministic, so that equal examples, controls and settings give equal weights. Zero-shot modes A and B differ
in control cells that the adapter never trains on, an arm that permutes drugs at test time is trained like the paper's form,
and a model that samples like one that averages: none is trained twice in a process. Inside `kept_in(folder)` a finished training also stays on disk, so that a run
of many folds that was stopped goes on behind the last one.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from perturbook.models.training.history import History
from perturbook.source import source_hash

MOST = 32
"""Trainings that are remembered."""
_KNOWN: OrderedDict[str, tuple[dict[str, torch.Tensor], History]] = OrderedDict()
_FOLDERS: list[Path] = []


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Keep finished trainings in `folder` and look for equal ones there, inside a `with` block."""
    _FOLDERS.append(Path(folder))
    try:
        yield
    finally:
        _FOLDERS.pop()


@cache
def _code(file: str) -> str:
    """Checksum of the code that trains: weights that other code made are never taken for equal."""
    return source_hash(Path(file))


def digest(facts: str, arrays: Iterable[np.ndarray]) -> str:
    """sha256 over words and arrays, their shapes and types included."""
    total = hashlib.sha256(facts.encode())
    for array in arrays:
        array = np.ascontiguousarray(array)
        total.update(f"{array.dtype} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def once(model: nn.Module, key: str, train: Callable[[], History], file: str) -> History:
    """Train `model` in place, or give it the weights of the equal training that `key` names.

    Args:
        model: untrained.
        key: `digest` of everything that training depends on, the kind of model included.
        train: trains `model` in place.
        file: source file that trains; what other code, or another import of it, has kept on disk is not equal.
    """
    path = _FOLDERS[-1] / f"{digest(key + _code(file), [])}.safetensors" if _FOLDERS else None
    if key not in _KNOWN and path and path.is_file():
        with safe_open(path, framework="pt") as file:
            kept = {name: file.get_tensor(name) for name in file.keys()}
            _KNOWN[key] = (kept, History.from_dict(json.loads(file.metadata()["history"])))
    if key in _KNOWN:
        weights, history = _KNOWN[key]
        model.load_state_dict(weights, strict=False)
        model.train(False)
        return history
    history = train()
    trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
    _KNOWN[key] = ({name: one.detach().cpu().clone() for name, one in trained.items()}, history)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        making = path.with_suffix(".making")
        save_file(_KNOWN[key][0], making, metadata={"history": json.dumps(vars(history))})
        making.replace(path)
    while len(_KNOWN) > MOST:
        _KNOWN.popitem(last=False)
    return history
