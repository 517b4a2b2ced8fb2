"""How well could anyone do? Arithmetic from the agreement of two halves of a condition's cells.

Half A predicting half B (20 seeded splits, controls split likewise) is a duplicate of half size, not an upper
bound: a model above the duplicate but below the oracle is legitimate. Both values below are projections and
are labelled so on every chart.
"""

import numpy as np


def full_duplicate(r_half: np.ndarray | float) -> np.ndarray:
    """Project the correlation of two halves to a duplicate of full size: 2 r / (1 + r).

    Args:
        r_half: correlation of the halves, any shape. Average it over splits (and conditions) first: the mean of
            projections over conditions leaves out the negative ones and is too high.

    Returns:
        Same shape, in [0, 1]; NaN where `r_half` is outside [0, 1], because a negative agreement of halves
        estimates no reliability and the formula then leaves [-1, 1].

    Source: metrics.md section 6.2; Spearman 1910, Brown 1910.
    """
    r = np.asarray(r_half, dtype=np.float64)
    r = np.where((r >= 0) & (r <= 1), r, np.nan)
    return 2 * r / (1 + r)


def oracle_projection(r_half: np.ndarray | float) -> np.ndarray:
    """Project the correlation of a noise-free oracle with the measured effect: sqrt(2 r / (1 + r)).

    Args:
        r_half: as in `full_duplicate`.

    Returns:
        Same shape, in [0, 1]; NaN where `r_half` is outside [0, 1], and 0 for halves that share nothing.

    Source: metrics.md section 6.2.
    """
    return np.sqrt(full_duplicate(r_half))


def scaled(score: np.ndarray, floor: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
    """Place a score between floor and ceiling: (score - floor) / (ceiling - floor), never clipped.

    Args:
        score: any shape.
        floor: score of the best simple method, broadcast against `score`.
        ceiling: noise limit, broadcast against `score`; below the floor for metrics where lower is better.

    Returns:
        0 at the floor, 1 at the ceiling, negative below the floor; NaN where an argument is NaN or floor and
        ceiling agree to 1e-12.

    Source: metrics.md section 6.1; style.md acceptance check 8.
    """
    score, floor, ceiling = (np.asarray(a, dtype=np.float64) for a in (score, floor, ceiling))
    span = ceiling - floor
    return (score - floor) / np.where(np.abs(span) < 1e-12, np.nan, span)
