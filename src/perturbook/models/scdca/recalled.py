"""Equal trainings are made once.

Training is deterministic, so that equal examples, controls and settings give equal weights. Zero-shot modes A and B differ
in control cells that the adapter never trains on, and an arm that permutes drugs at test time is trained like the paper's
form: neither is trained twice in a process. Inside `kept_in(folder)` a finished training also stays on disk, so that a run
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

from perturbook.models.scdca.adapted import Adapted
from perturbook.models.training import History
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
def _code() -> str:
    """Checksum of the code that trains: weights that other code made are never taken for equal."""
    return source_hash(Path(__file__).with_name("predictor.py"))


def digest(facts: str, arrays: Iterable[np.ndarray]) -> str:
    """sha256 over words and arrays, their shapes and types included."""
    total = hashlib.sha256(facts.encode())
    for array in arrays:
        array = np.ascontiguousarray(array)
        total.update(f"{array.dtype} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def once(model: Adapted, key: str, train: Callable[[], History]) -> History:
    """Train `model` in place, or give it the weights of the equal training that `key` names."""
    path = _FOLDERS[-1] / f"{digest(key + _code(), [])}.safetensors" if _FOLDERS else None
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
    _KNOWN[key] = ({name: one.clone() for name, one in model.trained().items()}, history)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        making = path.with_suffix(".making")
        save_file(_KNOWN[key][0], making, metadata={"history": json.dumps(vars(history))})
        making.replace(path)
    while len(_KNOWN) > MOST:
        _KNOWN.popitem(last=False)
    return history
