"""The interval that the measured cells of one condition leave a comparison of two predictions of its mean.

With a handful of doubles there is no interval over doubles. Each has cells of its own, though: were as many measured again,
how far would the difference of two errors move? The predictions stay as they are.

Source: `metrics.md` section 8 (every value with the interval of its own cells); the form below is our choice.
"""

import numpy as np

from perturbook.errors import ShapeError
from perturbook.evaluation.intervals import Interval, bootstrap_mean


def within_difference(
    cells: np.ndarray, first: np.ndarray, second: np.ndarray, *, n: int = 10_000, seed: int = 0
) -> Interval:
    """RMSE of `first` minus RMSE of `second` about the mean of `cells`, with an interval over these cells.

    The difference of the squared errors is linear in the measured mean, hence the mean of one value per cell; divided by
    the sum of the two errors it is the difference of the errors. Those values are resampled. So resampling does not count
    the noise of the mean twice, as it would in the errors themselves, and identical predictions give exactly [0, 0].

    Args:
        cells: measured cells of one condition, `(cells, genes)`, log1p of counts per 10k.
        first: predicted mean, `(genes,)`.
        second: predicted mean, `(genes,)`.
        n: resamples.
        seed: decides the resamples.

    Returns:
        An `Interval`; `n_defined` counts cells. Without bounds below ten cells, undefined where a prediction is NaN.

    Raises:
        ShapeError: the arguments differ in genes.
    """
    cells = np.asarray(cells, dtype=float)
    along, level = _line(cells.mean(axis=0), first, second)
    found = bootstrap_mean(cells @ along + level, n=n, seed=seed)
    kind = "95 % bootstrap over cells" if np.isfinite(found.low) else found.kind
    return Interval(found.mean, found.low, found.high, found.n_defined, found.n_total, kind)


def within_halves(mean: np.ndarray, halves: np.ndarray, first: np.ndarray, second: np.ndarray) -> Interval:
    """The same where the cells are not at hand: from the halvings that a bundle stores.

    A half mean differs from the mean of all cells by as much as the latter differs from the truth, so that the 20 of them
    give a standard error; the interval is 1.96 of it to either side.

    Args:
        mean: measured mean, `(genes,)`.
        halves: mean of one half minus `mean`, `(halvings, genes)`, as in `Truth.halves`.
        first: predicted mean, `(genes,)`.
        second: predicted mean, `(genes,)`.
    """
    mean, halves = np.asarray(mean, dtype=float), np.asarray(halves, dtype=float)
    along, level = _line(mean, first, second)
    value = float(mean @ along) + level
    error = 1.96 * float(np.sqrt(np.mean((halves @ along) ** 2)))
    kind = f"1.96 standard errors over {len(halves)} halvings"
    return Interval(value, value - error, value + error, len(halves), len(halves), kind)


def _line(mean: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, float]:
    """Direction `(genes,)` and level of the linear function of a mean that is the difference of errors at `mean`."""
    if not mean.shape == np.shape(first) == np.shape(second):
        raise ShapeError(
            f"cells have {mean.shape} genes, predictions {np.shape(first)} and {np.shape(second)}; give the same panel."
        )
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    errors = sum(np.sqrt(np.mean((one - mean) ** 2)) for one in (first, second))
    scale = len(mean) * errors or np.inf  # both exact: no difference
    return 2 * (second - first) / scale, float((np.sum(first**2) - np.sum(second**2)) / scale)
