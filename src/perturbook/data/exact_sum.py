"""Sums of float64 values that do not depend on the order of the terms, nor on the blocks they arrive in.

Every term is cut into a part on a coarse grid and a rest on a fine one. Both grids are so coarse, for the number and
the size of the terms, that adding on them never rounds; so the result is the same in any order, bit for bit, and what
is left off is far below the rounding of the result.

Source: the pre-rounding of Demmel and Nguyen 2013, Fast reproducible floating-point summation, section 4, with two
grids.
"""

import math

import numpy as np


class ExactSum:
    """Running sums in many places at once, in two exact parts.

    Args:
        places: number of sums.
        terms: no sum gets more terms than this.
        bound: no term is larger than this in absolute value.
    """

    def __init__(self, places: int, terms: int, bound: float):
        self._parts = np.zeros((2, places))
        self._anchors = []
        for _ in self._parts:
            exponent = math.ceil(math.log2(terms * bound)) if terms * bound else 0
            self._anchors.append(1.5 * 2.0**exponent)  # float64 near this number is the grid
            bound = 2.0 ** (exponent - 53)  # half a step of the grid: no rest is larger

    def add(self, places: np.ndarray, values: np.ndarray) -> None:
        """Add each of `values` (terms,) to the sum at its place in `places` (terms,)."""
        for part, anchor in zip(self._parts, self._anchors, strict=True):
            on_grid = (values + anchor) - anchor
            np.add.at(part, places, on_grid)
            values = values - on_grid

    @property
    def total(self) -> np.ndarray:
        """The sums so far, `(places,)`; NaN where a term was not finite."""
        return self._parts.sum(axis=0)
