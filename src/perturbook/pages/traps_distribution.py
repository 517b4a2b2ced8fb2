"""Traps of comparing whole distributions of cells: kernels set from predictions, tests on generated cells."""

import numpy as np
import pandas as pd

from perturbook.evaluation import de_agreement
from perturbook.evaluation.distribution import LENGTHS, median_distance, mmd2_u
from perturbook.evaluation.ranksum import Ranked, benjamini_hochberg, p_values
from perturbook.pages.traps_counts import draw_cells, draw_effect, draw_levels

N_GENES = 1_000
SPREADS = (0.0, 0.25, 0.5, 1.0)
DIFFERENT = 0.05
"""Adjusted p-value below which a gene differs. Source: metrics.md section 5.4."""


def kernels(seed: int, n_cells: int = 150) -> pd.DataFrame:
    """Score four generators of one condition by the same kernel distance with lengths from different cells.

    Returns:
        Rows generators; columns where the median distance comes from that the kernel lengths are multiples of: the true
        cells (`mmd2_u`), true and generated cells pooled, the generated cells, or 20 times that of the true cells. NaN
        where a median is 0.

    Source: metrics.md section 5.2.
    """
    rng = np.random.default_rng(seed)
    level, effect = draw_levels(rng, N_GENES), draw_effect(rng, N_GENES)
    truth, again = (draw_cells(rng, level, effect, n_cells) for _ in range(2))
    centre = again.mean(axis=0)
    generators = {
        "perfect sampler": again,
        "control cells": draw_cells(rng, level, 0 * effect, n_cells),
        "right mean, half the spread": centre + (again - centre) / 2,
        "right mean, one profile": np.broadcast_to(centre, truth.shape),
    }
    rows = {}
    for name, cells in generators.items():
        units = {
            "true cells": median_distance(truth),
            "true and generated cells": median_distance(np.concatenate([truth, cells])),
            "generated cells": median_distance(cells),
            "20 times the true cells": 20 * median_distance(truth),
        }
        rows[name] = {
            source: mmd2_u(truth, cells, tuple(length * unit for length in LENGTHS))
            for source, unit in units.items()
        }
    return pd.DataFrame(rows).T.rename_axis("generator")


def equal_samples(seed: int, repeats: int, n_cells: int = 25) -> np.ndarray:
    """`mmd2_u` of two samples of one distribution, `(repeats,)`; the truth is 0."""
    rng = np.random.default_rng(seed)
    level, values = draw_levels(rng, N_GENES), []
    for _ in range(repeats):
        x, y = (draw_cells(rng, level, np.zeros(N_GENES), n_cells) for _ in range(2))
        values.append(mmd2_u(x, y, tuple(length * median_distance(x) for length in LENGTHS)))
    return np.array(values)


def found_without_effect(seed: int, sizes: tuple[int, ...] = (25, 50, 100, 200, 400)) -> pd.DataFrame:
    """Test generated cells against 200 controls where nothing changed, by their spread and their number.

    The generator samples control cells and pulls them towards their mean.

    Returns:
        Columns `spread n_cells share`: standard deviation of generated over true cells, cells drawn, and share of genes
        called different.

    Source: metrics.md section 5.4.
    """
    rng = np.random.default_rng(seed)
    level, none = draw_levels(rng, N_GENES), np.zeros(N_GENES)
    ranked = Ranked.of(draw_cells(rng, level, none, 200))
    fresh = draw_cells(rng, level, none, max(sizes))
    centre, rows = fresh.mean(axis=0), []
    for spread in SPREADS:
        for n in sizes:
            share = _different(centre + spread * (fresh[:n] - centre), ranked).mean()
            rows.append((spread, n, share))
    return pd.DataFrame(rows, columns=["spread", "n_cells", "share"])


def de_agreement_by_spread(seed: int, n_cells: int = 100) -> pd.DataFrame:
    """Agreement of the genes called different in measured and in generated cells, as the generator loses its spread.

    Returns:
        Index spread: variance ratio, genes called different, recall, precision, overlap of the top 20.

    Source: metrics.md section 5.4.
    """
    rng = np.random.default_rng(seed)
    level, effect = draw_levels(rng, N_GENES), draw_effect(rng, N_GENES)
    ranked = Ranked.of(controls := draw_cells(rng, level, 0 * effect, 2 * n_cells))
    truth, again = (draw_cells(rng, level, effect, n_cells) for _ in range(2))
    centre, true = again.mean(axis=0), _different(truth, ranked)[None]
    change, rows = (truth.mean(axis=0) - controls.mean(axis=0))[None], []
    for spread in (1.0, 0.5, 0.25):
        made = centre + spread * (again - centre)
        hat, moved = _different(made, ranked)[None], (made.mean(axis=0) - controls.mean(axis=0))[None]
        rows.append(
            {
                "spread": spread,
                "variance ratio": spread**2,
                "genes called different": int(hat.sum()),
                "recall": de_agreement.recall(true, hat)[0],
                "precision": de_agreement.precision(true, hat)[0],
                "overlap of the top 20": de_agreement.overlap(change, true, moved, hat, 20)[0],
            }
        )
    return pd.DataFrame(rows).set_index("spread")


def _different(cells: np.ndarray, ranked: Ranked) -> np.ndarray:
    """Genes in which the cells differ from the ranked controls, `(genes,)`."""
    return benjamini_hochberg(p_values(cells, ranked)) < DIFFERENT
