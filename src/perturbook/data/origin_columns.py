"""Columns of a public file under any of the names its versions use, units of dose, and which version a size resembles.

Nothing is guessed in silence: what was mapped is returned, and pages print it. Source: `datasets.md` section 4.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from perturbook.data.findings import three
from perturbook.errors import InputError

PER_UM = {"nM": 1000, "uM": 1, "\N{MICRO SIGN}M": 1, "\N{GREEK SMALL LETTER MU}M": 1}
RESEMBLES = (
    0.02  # sizes within 2 % are called alike; our choice, as the known versions lie 5 % and more apart
)


def pick(
    table: pd.DataFrame, needed: Mapping[str, Sequence[str]], welcome: Mapping[str, Sequence[str]]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The columns of `table` by field name, and the name each had.

    Args:
        table: cells of the origin.
        needed: field -> candidate names, the first that exists is taken.
        welcome: the same for fields that a version may lack; they are then absent from the result.

    Raises:
        InputError: no candidate of a needed field exists; the message lists the columns that do.
    """
    found = {}
    for field, candidates in {**needed, **welcome}.items():
        name = next((name for name in candidates if name in table), None)
        if name is not None:
            found[field] = name
        elif field in needed:
            raise InputError(
                f"No column of obs holds the {field}: none of {', '.join(candidates)}. "
                f"The file has {', '.join(map(str, table.columns)) or 'no column'}."
            )
    return pd.DataFrame({field: table[name] for field, name in found.items()}, index=table.index), found


def micromolar(dose: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Doses (cells,) in micromolar.

    Raises:
        InputError: a unit is none of nM and uM.
    """
    unknown = sorted(set(unit) - set(PER_UM))
    if unknown:
        raise InputError(
            f"Doses are in {three(unknown)}; known units: {', '.join(PER_UM)}. Correct the unit column."
        )
    return np.asarray(dose, dtype=float) / np.array([PER_UM[one] for one in unit])


def resembles(cells: int, genes: int, known: Mapping[str, tuple[int, int | None]]) -> str:
    """One sentence: which of the `known` versions, name -> (cells, genes or None), has this size."""
    size = f"{cells:,} cells x {genes:,} genes"
    for name, (n, m) in known.items():
        if cells == n and m in (None, genes):
            return f"{size}: the size of {name}."
    nearest = min(known, key=lambda name: abs(known[name][0] - cells))
    if abs(known[nearest][0] - cells) <= RESEMBLES * cells:
        n, m = known[nearest]
        return f"{size}: resembles {nearest} ({n:,} cells{f' x {m:,} genes' if m else ''}), but is not that size."
    sizes = "; ".join(f"{name} {n:,}" for name, (n, _) in known.items())
    return f"{size}: the size of no version known here (cells: {sizes})."
