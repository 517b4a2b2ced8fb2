"""Binning: the values of one cell become ranks on a scale of its own, 1 to 50 for 51 bins; zeros stay zeros.

Edges are quantiles of the cell's non-zero values. Counts are mostly ties, so that many values equal an edge, or several;
such a value may take any bin from the one above its lower neighbours to the one of its upper edge. Source: `scgpt.md`
section 5, `concepts.md` section 4.
"""

import numpy as np

from perturbook.errors import ConfigError

N_BINS = 51
"""Bins of the released models, 0 among them."""
TIES = ("seeded", "one")
"""How ties are resolved: "seeded" draws a bin, "one" takes the upper edge."""


def bin_edges(values: np.ndarray, n_bins: int = N_BINS) -> np.ndarray:
    """Quantiles of the non-zero values of one cell, `(n_bins - 1,)` float64, linear interpolation.

    Bit for bit what `numpy.quantile(values, numpy.linspace(0, 1, n_bins - 1))` gives, in a third of the time: between
    sorted neighbours a and b it adds (b - a) t to a where t < 0.5, and else takes (b - a) (1 - t) from b.
    """
    ordered = np.sort(values)
    place = (len(values) - 1) * np.linspace(0, 1, n_bins - 1)
    below = np.floor(place).astype(int)
    t, a, b = place - below, ordered[below], ordered[np.minimum(below + 1, len(values) - 1)]
    return np.where(t < 0.5, a + (b - a) * t, b - (b - a) * (1 - t))


def digitise(values: np.ndarray, edges: np.ndarray, draws: np.ndarray | None = None) -> np.ndarray:
    """Bins of values between edges, int64, in the shape of `values`.

    Args:
        values: numbers within the edges.
        edges: increasing, ties allowed.
        draws: one number of [0, 1) per value, which picks a bin where a value equals several edges; None takes the upper.
    """
    upper = np.searchsorted(edges, values, side="right")  # what numpy.digitize computes, without its checks
    if draws is None:
        return upper
    lower = np.searchsorted(edges, values, side="left")
    # ceil(u (lower - upper) + upper), in the form that rounding can never push out of the tie, however close u is to 1
    return upper - np.floor(draws * (upper - lower)).astype(np.int64)


def bin_values(values: np.ndarray, draws: np.ndarray | None = None, n_bins: int = N_BINS) -> np.ndarray:
    """Bins of the values of one cell, `(genes,)` int64: 1 to n_bins - 1 for values that are not zero, 0 for zeros.

    Args:
        values: one cell, `(genes,)`, not negative; counts and their logarithms give the same bins up to ties.
        draws: one number of [0, 1) per non-zero value, in their order; None is the rule "one", upper edge.
        n_bins: bins, 0 among them.

    A cell whose non-zero values are all equal has nothing to rank: its bins are the draws themselves, or all n_bins - 1.
    """
    binned = np.zeros(len(values), dtype=np.int64)
    filled = values != 0
    if filled.any():
        of = values[filled]
        binned[filled] = digitise(of, bin_edges(of, n_bins), draws)
    return binned


def check_ties(ties: str) -> None:
    """Raise ConfigError unless `ties` is one of `TIES`."""
    if ties not in TIES:
        raise ConfigError(f"ties is {ties!r}; expected one of {', '.join(TIES)}.")
