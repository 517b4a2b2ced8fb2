"""The reference fixtures of scGPT as tensors, and the tolerance they are compared with: real tokens only."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch

FIXTURES = Path(__file__).parent / "fixtures" / "scgpt"
A, C = FIXTURES / "A", FIXTURES / "C_generative"
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@cache
def _read(path):
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def arrays(name, folder=A):
    """Arrays of one file; numbers as tensors, names as they are."""
    stored = _read(folder / f"{name}.npz")
    return {
        key: one if one.dtype.kind == "U" else torch.from_numpy(one.copy()) for key, one in stored.items()
    }


def settings(name, folder=A):
    return json.loads((folder / f"{name}.json").read_text())


def check_close(made, expected, **options):
    torch.testing.assert_close(made, expected, **(CLOSE | options))


def inputs(name="forward"):
    """The three arguments of a forward pass and everything that the reference made of them."""
    z = arrays(name)
    return (z["src"], z["values"], z["src_key_padding_mask"]), z
