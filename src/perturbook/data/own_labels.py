"""Columns of a reader's obs as labels and doses: read as they stand, refused where they can be read in two ways.

Source: our choice; the spellings of control are those of `check_labels`.
"""

import re

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.data.check_labels import CONTROL_SPELLINGS
from perturbook.data.findings import cells_where, three
from perturbook.errors import InputError

UNITS = {"nm": (1, 1000), "um": (1, 1), "mm": (1000, 1)}
"""Micromolar per unit, as a fraction, so that 10,000 nM is 10 uM to the last bit."""
AMOUNT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([num]m)?")


def present(adata: AnnData, name: str, what: str) -> pd.Series:
    """The column `name` of obs, which `what` was said to be; raises InputError naming the columns there are."""
    if name not in adata.obs:
        has = ", ".join(map(str, adata.obs.columns)) or "no column"
        raise InputError(f"obs has no column {name!r} for {what}; it has {has}.")
    return adata.obs[name]


def labels_of(adata: AnnData, name: str, what: str) -> np.ndarray:
    """Labels as text without spaces around them, `(cells,)`; booleans and whole numbers become their text.

    Raises:
        InputError: no such column, numbers with a fraction, or cells without a label.
    """
    column = present(adata, name, what)
    if pd.api.types.is_float_dtype(column.dtype):
        raise InputError(
            f"obs[{name!r}] holds {column.dtype} numbers and cannot be {what}; convert it to text if they are labels."
        )
    texts = column.astype(object).map(lambda label: "" if pd.isna(label) else str(label).strip())
    bad = (texts == "").to_numpy() if what != "perturbation" else column.isna().to_numpy()
    if bad.any():
        raise InputError(
            f"obs[{name!r}] has no label in {cells_where(bad, adata.obs_names)}. Drop these cells."
        )
    return texts.to_numpy(dtype=object)


def untreated(labels: np.ndarray, named: str, column: str) -> str:
    """The label of the control cells: the one named, or the one label that is a usual spelling of control.

    Raises:
        InputError: no such label, or several spellings of control at once.
    """
    found = sorted(set(labels))
    known = [label for label in found if label.lower() in CONTROL_SPELLINGS]
    if named and named not in found:
        raise InputError(f"obs[{column!r}] has no label {named!r} for control; it has {three(found)}.")
    if not named and not known:
        raise InputError(
            f"obs[{column!r}] has no usual spelling of control; say with control= which label is untreated: {three(found)}."
        )
    if len(others := [label for label in known if label != named]) > (not named):
        raise InputError(
            f"obs[{column!r}] spells control in more than one way: {three(sorted({*others, *([named] if named else [])}))}. "
            "Give all untreated cells one label, or drop those that are another control."
        )
    return named or known[0]


def doses(adata: AnnData, name: str, unit: str, control: np.ndarray) -> np.ndarray:
    """Doses in micromolar `(cells,)`; 0 for the control whatever the column says of it.

    Text may carry its own unit, "10 nM", which counts before `unit`.

    Raises:
        InputError: no such column, or the dose of a treated cell is missing or cannot be read.
    """
    column = present(adata, name, "dose").astype(object)
    amounts = {value: _micromolar(value, unit) for value in column[~control].unique()}
    read = np.where(control, 0.0, column.map(amounts).astype(float))
    bad = np.isnan(read)
    if bad.any():
        told = cells_where(bad, adata.obs_names, lambda i: repr(column.iloc[i]))
        raise InputError(
            f"obs[{name!r}] is not read as a dose in {told}. Write numbers, or text such as '10 nM'; "
            "name no dose column where doses have no meaning."
        )
    return read


def _micromolar(value, unit: str) -> float:
    """One dose, a number or text, in micromolar; NaN where it cannot be read."""
    if isinstance(value, bool | np.bool_) or pd.isna(value):
        return np.nan
    text = str(value).strip().lower().replace("\u00b5", "u").replace("\u03bc", "u")  # both letters of micro
    if not (match := AMOUNT.fullmatch(text)):
        return np.nan
    up, down = UNITS[match[2] or unit.lower()]
    return float(match[1]) * up / down
