"""Checks of what is given to the model, before any computing. Source: our choice."""

import torch
from torch import Tensor

from perturbook.errors import InputError, ShapeError


def check_ids(name: str, ids: Tensor, n_tokens: int) -> None:
    """Raise ShapeError unless `ids` is `(cells, L)` of whole numbers, InputError unless all are rows of the gene table."""
    _matrix(name, ids)
    if ids.dtype not in (torch.int64, torch.int32):
        raise ShapeError(f"{name} has dtype {ids.dtype}, expected torch.int64.")
    if ids.numel():
        low, high = (int(one) for one in torch.aminmax(ids))
        if low < 0 or high >= n_tokens:
            raise InputError(
                f"{name} holds {low if low < 0 else high}; the vocabulary has the ids 0 to {n_tokens - 1}. Drop genes "
                f"outside the vocabulary before."
            )


def check_values(name: str, values: Tensor, ids: Tensor) -> None:
    """Raise ShapeError unless `values` is a float matrix of the shape of `ids`, InputError unless all are finite."""
    _same(name, values, ids)
    if not values.is_floating_point():
        raise ShapeError(f"{name} has dtype {values.dtype}, expected a floating dtype such as torch.float32.")
    if values.numel() and not bool(torch.isfinite(values).all()):
        raise InputError(f"{name} holds NaN or infinite numbers; find them in the counts before.")


def check_padding(name: str, padding: Tensor | None, ids: Tensor) -> Tensor | None:
    """The mask itself, or None where nothing is padded.

    Raises:
        ShapeError: it is no bool matrix of the shape of `ids`.
    """
    if padding is None:
        return None
    _same(name, padding, ids)
    if padding.dtype != torch.bool:
        raise ShapeError(f"{name} has dtype {padding.dtype}, expected torch.bool, True where padded.")
    return padding if bool(padding.any()) else None


def check_first(padding: Tensor | None) -> None:
    """Raise InputError for a cell whose first token is padding: it stands for the cell, and something must be real."""
    if padding is not None and bool(padding[:, 0].any()):
        cell = int(padding[:, 0].nonzero()[0, 0])
        raise InputError(f"position 0 of cell {cell} is padding; every cell starts with a real token, <cls>.")


def check_flags(flags: Tensor, ids: Tensor) -> None:
    """Raise unless `flags` is a whole-number matrix of the shape of `ids` that holds 0, 1 and 2 alone."""
    _same("flags", flags, ids)
    if flags.dtype not in (torch.int64, torch.int32):
        raise ShapeError(f"flags has dtype {flags.dtype}, expected torch.int64.")
    if bool(((flags < 0) | (flags > 2)).any()):
        raise InputError("flags holds other numbers than 0 (not perturbed), 1 (perturbed) and 2 (padding).")


def check_cell(name: str, cell: Tensor, n_cells: int, width: int) -> None:
    """Raise ShapeError unless `cell` is a float matrix of cell embeddings `(cells, D)`."""
    if tuple(cell.shape) != (n_cells, width) or not cell.is_floating_point():
        raise ShapeError(
            f"{name} is {cell.dtype} {tuple(cell.shape)}, expected floats (cells, D) = ({n_cells}, {width})."
        )


def _matrix(name: str, given: Tensor) -> None:
    if not isinstance(given, Tensor):
        raise ShapeError(f"{name} is a {type(given).__name__}, expected a torch tensor (cells, L).")
    if given.ndim != 2 or given.shape[1] == 0:
        raise ShapeError(f"{name} has shape {tuple(given.shape)}, expected (cells, L) with L at least 1.")


def _same(name: str, given: Tensor, ids: Tensor) -> None:
    _matrix(name, given)
    if given.shape != ids.shape:
        raise ShapeError(
            f"{name} has shape {tuple(given.shape)}, the gene ids {tuple(ids.shape)}; they must agree."
        )
