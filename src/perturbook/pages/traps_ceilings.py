"""Ceilings where the oracle is known: what halves of the cells promise, and what comes."""

import numpy as np
import pandas as pd

from perturbook.evaluation.ceiling import full_duplicate, oracle_projection
from perturbook.evaluation.differential import welch_p
from perturbook.evaluation.duplicate import interpolated
from perturbook.evaluation.mean_profile import constant_guard, pearson_delta
from perturbook.evaluation.ranksum import benjamini_hochberg
from perturbook.pages.traps_counts import draw_cells, draw_effect, draw_levels, expected

N_GENES = 500
HALVINGS = 5


def ceilings(seed: int, n_conditions: int, sizes: tuple[int, ...] = (10, 20, 50, 100, 200)) -> pd.DataFrame:
    """Pearson-delta of every kind of ceiling by the number of cells; controls as many, and apart on both sides.

    Args:
        seed: decides genes, effects, counts and halvings.
        n_conditions: conditions of one screen.
        sizes: measured cells per condition.

    Returns:
        Columns `n_cells ceiling kind value`, means over conditions. Measured: the half duplicate, a second experiment of
        full size, the noise-free oracle, and the interpolated duplicate, whose reference is the mean of the other
        conditions. Projected from the half duplicate: the full duplicate and the oracle.

    Source: metrics.md sections 6.2 and 6.3.
    """
    rng = np.random.default_rng(seed)
    level, none, rows = draw_levels(rng, N_GENES), np.zeros(N_GENES), []
    effects = [draw_effect(rng, N_GENES) for _ in range(n_conditions)]
    start = expected(level, none)
    true = np.array([expected(level, effect) for effect in effects])
    others = (true.sum(axis=0) - true) / (n_conditions - 1)
    guard = constant_guard(start)
    for n in sizes:
        found = []
        for effect, noise_free, reference in zip(effects, true, others, strict=True):
            first, second = (
                [draw_cells(rng, level, e, n) for e in (effect, none)] for _ in range(2)
            )  # treated and control cells of two experiments
            change = _change(*first)
            again, oracle = _change(*second), noise_free - start
            halves = [_halves(rng, *first, reference) for _ in range(HALVINGS)]
            found.append(
                [
                    np.mean([pearson_delta(b[None], a[None], guard)[0] for a, b, _ in halves]),
                    pearson_delta(change[None], again[None], guard)[0],
                    pearson_delta(change[None], oracle[None], guard)[0],
                    np.mean([pearson_delta(b[None], i[None], guard)[0] for _, b, i in halves]),
                ]
            )
        half, full, oracle, drawn = np.mean(found, axis=0)
        rows += [
            (n, "half duplicate", "measured", half),
            (n, "full duplicate", "measured", full),
            (n, "full duplicate", "projected", float(full_duplicate(half))),
            (n, "oracle", "measured", oracle),
            (n, "oracle", "projected", float(oracle_projection(half))),
            (n, "interpolated duplicate", "measured", drawn),
        ]
    return pd.DataFrame(rows, columns=["n_cells", "ceiling", "kind", "value"])


def _change(cells: np.ndarray, controls: np.ndarray) -> np.ndarray:
    return cells.mean(axis=0) - controls.mean(axis=0)


def _halves(rng: np.random.Generator, cells: np.ndarray, controls: np.ndarray, reference: np.ndarray):
    """Change of half A and of half B against halves of the controls, and that of A drawn towards `reference`."""
    (a, b), (control_a, control_b) = (np.array_split(rng.permutation(one), 2) for one in (cells, controls))
    moments = [f(one) for one in (a, control_a) for f in (_mean, _variance)]
    p = welch_p(moments[0], moments[1], np.array([len(a)]), moments[2], moments[3], len(control_a))
    drawn = interpolated(moments[0], benjamini_hochberg(p), reference[None])[0]
    return _change(a, control_a), _change(b, control_b), drawn - control_a.mean(axis=0)


def _mean(cells: np.ndarray) -> np.ndarray:
    return cells.mean(axis=0)[None]


def _variance(cells: np.ndarray) -> np.ndarray:
    return cells.var(axis=0, ddof=1)[None]
