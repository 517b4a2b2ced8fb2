"""Tensors of a file of weights, read without running anything that it holds.

Source: `scgpt.md` section 9: `.pt` files with `weights_only` alone, safetensors otherwise.
"""

import pickle
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from perturbook.errors import InputError

LARGEST_FILE = 40_000_000_000
"""Bytes; five times the largest model that is built."""
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
AGAIN = "The file is damaged or was cut short; fetch or copy it again"


def check_file(path: Path) -> None:
    """Raise InputError unless `path` is a file of a size that weights can have."""
    if not path.is_file():
        raise InputError(
            f"{path} is missing; the folder of a checkpoint holds best_model.pt or model.safetensors."
        )
    if not 0 < path.stat().st_size <= LARGEST_FILE:
        raise InputError(f"{path} has {path.stat().st_size:,} bytes, which no file of weights has.")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by key, as stored.

    Raises:
        InputError: the file is missing, cut short, holds code or anything else than tensors, or NaN.
    """
    check_file(path)
    found = _safetensors(path) if path.suffix == ".safetensors" else _pickle(path)
    for key, tensor in found.items():
        _check(path, key, tensor)
    return found


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}
    except SafetensorError as error:
        raise InputError(f"{path} is no whole safetensors file ({error}). {AGAIN}.") from None


def _pickle(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"PK":
        _check_archive(path)
    elif start[:1] != b"\x80":  # which every pickle since protocol 2 begins with
        raise InputError(
            f"{path} is neither an archive nor a pickle of torch, it begins with {start!r}. {AGAIN}."
        )
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path} holds code or objects besides tensors; it was refused and nothing of it was run. If you trust "
            f"its source, load it there and write its state dict with safetensors.torch.save_file to "
            f"model.safetensors."
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as weights ({first}). {AGAIN}.") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InputError(
            f"{path} holds a {type(found).__name__}, expected a state dict of names and tensors."
        )
    if others := [key for key, value in found.items() if not isinstance(value, Tensor)]:
        raise InputError(
            f"{path} holds {', '.join(others[:3])} besides tensors, expected a plain state dict; save the state dict "
            f"alone."
        )
    return dict(found)


def _check_archive(path: Path) -> None:
    """torch stores its records uncompressed; anything else could grow without bound when read."""
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [
                info.filename for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED
            ]
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path} is no whole archive ({error}). {AGAIN}.") from None
    if packed:
        raise InputError(
            f"{path} holds the compressed record {packed[0]}, which torch does not write. {AGAIN}."
        )


def _check(path: Path, key: str, tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise InputError(
            f"{path}: {key} is not a plain dense tensor; save the weights again as dense float32."
        )
    if tensor.dtype not in FLOATS and not key.endswith("num_batches_tracked"):
        raise InputError(f"{path}: {key} is {tensor.dtype}, expected floating numbers.")
    # minimum and maximum pass NaN on and need no second copy of the tensor
    if tensor.numel() and not all(torch.isfinite(one.float()) for one in torch.aminmax(tensor)):
        raise InputError(
            f"{path}: {key} holds NaN or infinite weights; training diverged or the file is damaged."
        )
