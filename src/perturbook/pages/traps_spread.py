"""Traps of scores that see the spread of cells: variance collapse in doubles simulated live, and a biased distance."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook.evaluation.cell_profile import rel_rmse_cell, var_ratio
from perturbook.evaluation.distribution import edist_u, edist_v
from perturbook.evaluation.mean_profile import constant_guard, pearson_delta, r2_mean, rel_rmse_mean
from perturbook.pages.traps_counts import draw_cells, draw_effect, draw_levels
from perturbook.pages.traps_reference import SIZES, control_cells

DIMS = 50
EDIST_CELLS = 100
"""Cells per side in the energy distance over all genes: unbiased at any number, and quick. Our choice."""
SPREADS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


def doubles(seed: int, n_doubles: int, n_cells: int, n_genes: int) -> Iterator[dict[str, np.ndarray]]:
    """Draw negative-binomial cells of two singles and their double, additive on the log scale.

    Args:
        seed: decides genes, effects and counts.
        n_doubles: doubles to draw.
        n_cells: cells per sample.
        n_genes: genes of the panel.

    Yields:
        Cells `(cells, genes)`, log1p of counts: `control`, `control_again`, `control_apart`, `a`, `b`, `truth`, and
        `again`, a second sample of the double.
    """
    rng = np.random.default_rng(seed)
    level, none = draw_levels(rng, n_genes), np.zeros(n_genes)
    for _ in range(n_doubles):
        a, b = (draw_effect(rng, n_genes) for _ in range(2))
        effects = {
            **dict.fromkeys(("control", "control_again", "control_apart"), none),
            **{"a": a, "b": b, "truth": a + b, "again": a + b},
        }
        yield {name: draw_cells(rng, level, effect, n_cells) for name, effect in effects.items()}


def scoreboard(seed: int, n_doubles: int, n_cells: int, n_genes: int = 1000) -> pd.DataFrame:
    """Score five predictors of doubles on every convention of a cell-level error, averaged over doubles.

    Returns:
        One row per predictor; Pearson-delta, with controls apart and with the same, is NaN for the control mean. Source: metrics.md section 3.2 (table).
    """
    rows = []
    for cells in doubles(seed, n_doubles, n_cells, n_genes):
        mu0 = cells["control"].mean(axis=0)
        additive = cells["a"].mean(axis=0) + cells["b"].mean(axis=0) - mu0
        for name, predicted in (
            ("control cells", cells["control_again"]),
            ("control mean", mu0[None]),
            ("additive mean", additive[None]),
            ("oracle mean", cells["again"].mean(axis=0, keepdims=True)),
            ("oracle sampler", cells["again"]),
        ):
            # The truth has a control sample of its own as reference, so that no noise is shared.
            reference = cells["control_apart"].mean(axis=0)
            rows.append({"predictor": name} | _scores(cells["truth"], predicted, mu0, reference))
    return pd.DataFrame(rows).groupby("predictor", sort=False).mean()


def spread_curve(seed: int, n_cells: int, n_genes: int = 1000) -> pd.DataFrame:
    """Shrink and stretch the cells of a perfect sampler about their mean, and score each.

    Returns:
        Columns `spread score value`; `spread` multiplies the standard deviation, 1 is the truth.
    """
    cells = next(doubles(seed, 1, n_cells, n_genes))
    truth, sampler, mu0 = cells["truth"], cells["again"], cells["control"].mean(axis=0)
    centre, rows = sampler.mean(axis=0), []
    for spread in SPREADS:
        scores = _scores(truth, centre + spread * (sampler - centre), mu0, mu0)
        rows += [
            {"spread": spread, "score": s, "value": scores[s]}
            for s in ("rel_rmse_cell", "edist_u_genes", "var_ratio")
        ]
    return pd.DataFrame(rows)


def energy_bias(adata: AnnData, repeats: int, seed: int) -> pd.DataFrame:
    """Measure the energy distance between two disjoint draws of one line's control cells, which is 0 in truth.

    Returns:
        Columns `n_cells statistic value`, one row per draw, in the first 50 principal components of
        the control cells of all lines.
    """
    controls = control_cells(adata)
    axes = np.linalg.eigh(np.cov(np.concatenate(list(controls.values())), rowvar=False))[1][:, -DIMS:]
    rng, rows = np.random.default_rng(seed), []
    for cells in controls.values():
        coordinates = cells @ axes
        for n in [size for size in SIZES if 2 * size <= len(cells)]:
            for _ in range(repeats):
                x, y = np.split(coordinates[rng.permutation(len(cells))[: 2 * n]], 2)
                rows += [(n, "U (edist_u)", edist_u(x, y)), (n, "V", edist_v(x, y))]
    return pd.DataFrame(rows, columns=["n_cells", "statistic", "value"])


def _scores(truth, predicted, mu0, reference) -> dict[str, float]:
    """All scores of one double; `predicted` is `(cells, genes)`, one row for a mean."""
    y, yhat = truth.mean(axis=0)[None], predicted.mean(axis=0)[None]
    v, vhat = truth.var(axis=0, ddof=1)[None], np.zeros_like(y)
    if len(predicted) > 1:
        vhat = predicted.var(axis=0, ddof=1)[None]
    pair_error, varies = ((yhat - y) ** 2 + v + vhat)[0], v[0] > 0
    scores = {
        "rel_rmse_cell": rel_rmse_cell(y, v, len(truth), yhat, vhat, len(predicted)),
        "var_ratio": var_ratio(v, vhat),
        "edist_u_genes": edist_u(truth[:EDIST_CELLS], predicted[:EDIST_CELLS]),
        "r2_mean": r2_mean(y, yhat),
        "rel_rmse_mean": rel_rmse_mean(y, yhat),
        "pearson_delta_ctrl": pearson_delta(y - reference, yhat - mu0, constant_guard(mu0)),
        "pearson_delta_ctrl_shared": pearson_delta(y - mu0, yhat - mu0, constant_guard(mu0)),
        "cell R2, averaged over genes": np.mean(1 - pair_error[varies] / v[0, varies]),
        "cell R2, flattened": 1 - pair_error.mean() / truth.var(),
    }
    return {name: np.asarray(value).item() for name, value in scores.items()}
