"""The digits that are stored, and so shown."""

import numpy as np


def digits(values: np.ndarray, n: int = 4) -> np.ndarray:
    """Values with `n` significant digits, float64; NaN stays NaN."""
    values = np.asarray(values, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        places = n - 1 - np.floor(np.log10(np.abs(values)))
    power = 10.0 ** np.where(np.isfinite(places), places, 0)
    return np.where(np.isfinite(values) & (values != 0), np.round(values * power) / power, values)
