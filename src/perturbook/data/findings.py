"""The wording of a failed check: where, what share, three examples."""

import numpy as np


def three(items) -> str:
    """The first three of `items`, quoted, and how many more there are."""
    items = list(items)
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return ", ".join(repr(str(item)) for item in items[:3]) + more


def share(bad: np.ndarray, what: str = "cells") -> str:
    """`12.5 % of cells (25 of 200)` from a boolean array."""
    return f"{bad.mean():.1%} of {what} ({int(bad.sum()):,} of {len(bad):,})".replace("%", " %", 1)


def cells_where(bad: np.ndarray, names, describe=None) -> str:
    """The share of bad cells and three of them; `describe(position)` adds what is wrong with each."""
    first = np.flatnonzero(bad)[:3]
    told = [f"{str(names[i])!r}" + (f" ({describe(i)})" if describe else "") for i in first]
    return f"{share(bad)}, such as {', '.join(told)}"
