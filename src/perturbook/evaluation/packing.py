"""Small whole numbers in place of floats, without loss: multiples of one step compress to a third as integers."""

import numpy as np

MOST = 2**24
"""Codes above it would save nothing: such numbers were never rounded, and stay floats."""


def packed(values: np.ndarray, *, rows: bool = False) -> tuple[np.ndarray, dict] | None:
    """Find the step of which all values are multiples, and give the multiples as unsigned integers.

    Args:
        values: floats, any shape; NaN is kept.
        rows: a step of its own for each entry of the first axis.

    Returns:
        Codes in the smallest unsigned type, same shape: 0 is NaN, and 1 + k the multiple k, or 1 + 2 |k| - (k < 0)
        where some are negative. And what `unpacked` needs. None where the values are no such multiples.

    Source: our choice; the sign in the lowest bit is the zigzag code of Protocol Buffers.
    """
    values = np.asarray(values)
    if np.isinf(values).any():
        return None
    blocks = values if rows else values[None]
    step = np.array([_step(block) for block in blocks]).reshape(-1, *[1] * (blocks.ndim - 1))
    sign = bool((values < 0).any())
    codes = np.empty(blocks.shape, np.uint32)
    for i, block in enumerate(blocks):
        multiples = block.astype(np.float64) / step[i]
        if not np.nanmax(np.abs(multiples), initial=0) < MOST:
            return None
        coded = 1 + (2 * np.abs(multiples) - (multiples < 0) if sign else multiples)
        codes[i] = np.where(np.isnan(multiples), 0, coded)
    codes = codes.astype(np.min_scalar_type(codes.max(initial=0))).reshape(values.shape)
    return codes, {"step": step if rows else step.ravel(), "sign": sign, "dtype": values.dtype.name}


def unpacked(codes: np.ndarray, how: dict) -> np.ndarray:
    """The values that `packed` was given, to the bit."""
    multiples = codes.astype(np.float64) - 1
    if how["sign"]:
        multiples = np.where(multiples % 2, -(multiples + 1) / 2, multiples / 2)
    return np.where(codes == 0, np.nan, multiples * how["step"]).astype(str(how["dtype"]))


def _step(values: np.ndarray) -> float:
    """The largest step of which all values are multiples: their common divisor; 1 where all are 0 or NaN."""
    mantissa, exponent = np.frexp(np.where(np.isnan(values), 0, values).astype(np.float64).ravel())
    whole = np.abs(np.ldexp(mantissa, 53)).astype(np.int64)
    some = whole != 0
    if not some.any():
        return 1.0
    whole, exponent = whole[some], exponent[some] - 53
    lowest = np.log2(whole & -whole).astype(int)  # trailing zeros
    unit = (exponent + lowest).min()
    shift = exponent - unit
    if (shift + np.log2(whole)).max() > 62:  # too wide apart to be multiples of anything that saves space
        return float(2.0**unit)
    return float(
        np.gcd.reduce(np.where(shift > 0, whole << np.maximum(shift, 0), whole >> np.maximum(-shift, 0)))
        * 2.0**unit
    )
