"""Traps of the genes that a score looks at: chosen on the scored cells, and more or fewer of them."""

import numpy as np
import pandas as pd

from perturbook.data import Profiles
from perturbook.evaluation.differential import top_genes, welch_t
from perturbook.evaluation.mean_profile import l2, take
from perturbook.pages.traps import strongest
from perturbook.pages.traps_counts import draw_cells, draw_effect, draw_levels, expected

LENGTHS = (10, 20, 50, 100)
N_GENES = 1_000


def chosen(seed: int, n_cells: int, repeats: int, planted: bool) -> pd.DataFrame:
    """Choose the top genes of a condition on different cells, and look at their change in the scored cells.

    "test_truth" chooses on the scored cells, "split_half" on one half of the treated and control cells and scores on the
    other, "train_visible" chooses on another condition with the same effect.

    Args:
        seed: decides genes, effects and counts.
        n_cells: treated cells of a condition, and as many control cells.
        repeats: conditions to draw.
        planted: False draws conditions without any effect.

    Returns:
        Columns `de_source k change best_gain`, one row per draw: `change` is the mean change of the listed genes in the
        direction in which they were chosen, `best_gain` the gain at which the true effect has the smallest error on
        them (NaN without an effect).

    Source: metrics.md section 3.6 (winner's curse).
    """
    rng, rows = np.random.default_rng(seed), []
    for _ in range(repeats):
        level = draw_levels(rng, N_GENES)
        none = np.zeros(N_GENES)
        effect = draw_effect(rng, N_GENES) if planted else none
        true = expected(level, effect) - expected(level, none)
        cells, again = (draw_cells(rng, level, effect, n_cells) for _ in range(2))
        controls = draw_cells(rng, level, none, n_cells)
        (a, b), (control_a, control_b) = (np.array_split(one, 2) for one in (cells, controls))
        for source, (first, reference), (scored, kept) in (
            ("test_truth", (cells, controls), (cells, controls)),
            ("split_half", (a, control_a), (b, control_b)),
            ("train_visible", (again, control_a), (cells, control_b)),
        ):
            order = top_genes(_t(first, reference), max(LENGTHS))[0]
            direction = np.sign(first.mean(axis=0) - reference.mean(axis=0))
            measured = scored.mean(axis=0) - kept.mean(axis=0)
            for k in LENGTHS:
                g = order[:k]
                gain = measured[g] @ true[g] / (true[g] @ true[g]) if planted else np.nan
                rows.append((source, k, (direction * measured)[g].mean(), gain))
    return pd.DataFrame(rows, columns=["de_source", "k", "change", "best_gain"])


def l2_by_length(profiles: Profiles, lengths: tuple[int, ...] = (25, 50, 100, 200, 400, 600)) -> pd.DataFrame:
    """Distance of predicted from measured means on the genes highest in control, by the number of genes.

    Returns:
        Columns `predictor genes l2`, means over the conditions at the highest dose; lengths beyond the panel are left out.

    Source: metrics.md section 3.3.
    """
    _, mean, control, lower = strongest(profiles)
    rows = []
    for k in [k for k in lengths if k <= mean.shape[1]]:
        genes = top_genes(control, k)
        for name, predicted in (("no change", control), ("same drug, lower dose", lower)):
            rows.append((name, k, l2(take(mean, genes), take(predicted, genes)).mean()))
    return pd.DataFrame(rows, columns=["predictor", "genes", "l2"])


def list_that_tells(profiles: Profiles, k: int = 50) -> tuple[float, float]:
    """Choose the `k` genes highest in treated instead of control cells: how many are new, and how far they have risen.

    Returns:
        Mean number of genes that only the treated cells put on the list, and the mean measured change of those genes.
    """
    _, mean, control, _ = strongest(profiles)
    new = _members(mean, k) & ~_members(control, k)
    return float(new.sum(axis=1).mean()), float((mean - control)[new].mean())


def _members(values: np.ndarray, k: int) -> np.ndarray:
    """Mask of the `k` highest genes per row."""
    mask = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(mask, top_genes(values, k), True, axis=1)
    return mask


def _t(cells: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Welch statistic of one condition, `(1, genes)`."""
    return welch_t(
        cells.mean(axis=0)[None],
        cells.var(axis=0, ddof=1)[None],
        np.array([len(cells)]),
        controls.mean(axis=0),
        controls.var(axis=0, ddof=1),
        len(controls),
    )
