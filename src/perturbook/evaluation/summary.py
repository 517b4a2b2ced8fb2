"""Summaries of the cells of one condition or one context: moments, halves, coordinates, and genes that differ."""

import numpy as np

from perturbook.evaluation.basis import sample_of
from perturbook.evaluation.ranksum import Ranked, benjamini_hochberg, p_values, p_values_of_halves
from perturbook.evaluation.truth import N_HALVES, rng_of

FDR = 0.05
"""Below it a gene counts as different. Source: metrics.md section 5.4."""


def condition_summary(cells: np.ndarray, ranked: Ranked, seed: int, key: str) -> dict[str, np.ndarray]:
    """Everything that `Truth` keeps of one tested condition, the moments of half A of halving 0, and a sample of cells.

    Args:
        cells: `(cells, genes)`, sorted by name.
        ranked: controls of the context.
        seed: decides halves and the sample.
        key: condition key.

    Source: metrics.md sections 3.6, 5.4 and 6.2.
    """
    halves, first = half_means(cells, rng_of(seed, key))
    in_a = np.zeros(len(cells), bool)
    in_a[first] = True
    tests = p_values_of_halves(cells[in_a], cells[~in_a], ranked)
    return {
        "mean": cells.mean(axis=0),
        "variance": variance_of(cells),
        "mean_a": cells[in_a].mean(axis=0) if in_a.any() else np.full(cells.shape[1], np.nan),
        "variance_a": variance_of(cells[in_a]),
        "halves": halves,
        "sample": cells[sample_of(cells, seed, key)],
        **{f"significant_{name}": _called(p) for name, p in zip(("all", "a", "b"), tests, strict=True)},
    }


def control_summary(cells: np.ndarray, shown: np.ndarray, seed: int, context: str) -> dict[str, np.ndarray]:
    """One context of `Truth.controls`, and the variance of the shown half; halving 0 is into shown and kept.

    Args:
        cells: control cells `(cells, genes)`, sorted by name.
        shown: mask of those that models see where the controls are split.
        seed: decides the halves.
        context: name of the context.
    """
    halves, _ = half_means(cells, rng_of(seed, f"control {context}"), np.flatnonzero(shown))
    return {
        "mean": cells.mean(axis=0),
        "mean_a": cells[shown].mean(axis=0),
        "mean_b": cells[~shown].mean(axis=0),
        "variance": variance_of(cells),
        "variance_a": variance_of(cells[shown]),
        "halves": halves,
        "n": len(cells),
        "n_a": int(shown.sum()),
    }


def different(cells: np.ndarray, ranked: Ranked) -> np.ndarray:
    """Genes whose cells differ from the controls: 1 where the adjusted rank-sum p-value is below 0.05, 0 elsewhere.

    Args:
        cells: of one condition, `(cells, genes)`.
        ranked: controls of its context.

    Returns:
        int8 `(genes,)`; -1 throughout where there is no cell.

    Source: metrics.md section 5.4.
    """
    return _called(p_values(cells, ranked))


def _called(p: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(p), -1, benjamini_hochberg(p) < FDR).astype(np.int8)


def variance_of(cells: np.ndarray) -> np.ndarray:
    """Unbiased variance over cells, `(genes,)`; NaN for fewer than two."""
    return cells.var(axis=0, ddof=1) if len(cells) > 1 else np.full(cells.shape[1], np.nan)


def half_means(
    cells: np.ndarray, rng: np.random.Generator, first: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Half-A means minus the mean, `(20, genes)`, and the rows of the first half; `first` fixes halving number 0."""
    n = len(cells)
    picks = [rng.permutation(n)[: n // 2] for _ in range(N_HALVES)]
    picks[0] = picks[0] if first is None else first
    if n < 2:
        return np.full((N_HALVES, cells.shape[1]), np.nan), picks[0]
    share = np.zeros((N_HALVES, n))
    for row, pick in zip(share, picks, strict=True):
        row[pick] = 1 / len(pick)
    return share @ cells - cells.mean(axis=0), picks[0]
