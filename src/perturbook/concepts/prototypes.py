"""Prototypes: the cells on which a concept is attributed. They are stated, with their codes, not merely "chosen".

Source: `concepts.md` section 5.1; the numbers are our choice, the paper's are not known.
"""

from collections.abc import Collection

import numpy as np

from perturbook.errors import ConfigError, ShapeError

N_TOP, N_MIDDLE, PER_DONOR = 30, 10, 5


def prototypes(
    codes: np.ndarray,
    n: int = N_TOP,
    *,
    stratum: str = "top",
    donors: np.ndarray | None = None,
    per_donor: int = PER_DONOR,
    refused: Collection[int] = (),
) -> np.ndarray:
    """Rows of the cells in which a concept is most active, or in which it is as active as in the median active cell.

    Args:
        codes: of the concept in every cell, `(cells,)`; only cells above 0 are taken.
        n: cells at most; fewer where fewer are active or the donors are too few.
        stratum: "top", the largest codes first; "middle", codes whose rank is nearest to the median first.
        donors: label of each cell, `(cells,)`; None where there are none.
        per_donor: cells of one donor at most.
        refused: rows that must not be taken, such as cells that turned out inactive on their list of genes.

    Returns:
        Rows, best first, ties by row.

    Raises:
        ShapeError: `donors` does not have one label per cell.
        ConfigError: `n` or `per_donor` is below 1, or there is no such stratum.
    """
    codes = np.asarray(codes)
    if donors is not None and np.shape(donors) != codes.shape:
        raise ShapeError(f"donors has shape {np.shape(donors)}; expected one label per cell, {codes.shape}.")
    if n < 1 or per_donor < 1:
        raise ConfigError(f"n is {n} and per_donor is {per_donor}; both must be at least 1.")
    active = np.flatnonzero(codes > 0)
    order = active[np.argsort(-codes[active], kind="stable")]
    if stratum == "middle":
        order = order[np.argsort(np.abs(np.arange(len(order)) - (len(order) - 1) / 2), kind="stable")]
    elif stratum != "top":
        raise ConfigError(f"stratum is {stratum!r}; expected top or middle.")
    taken, of_donor, refused = [], {}, set(refused)
    for row in order:
        donor = None if donors is None else donors[row]
        if int(row) in refused or (donors is not None and of_donor.get(donor, 0) >= per_donor):
            continue
        taken.append(int(row))
        of_donor[donor] = of_donor.get(donor, 0) + 1
        if len(taken) == n:
            break
    return np.array(taken, dtype=np.int64)
