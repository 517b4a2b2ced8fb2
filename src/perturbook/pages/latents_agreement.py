"""Tables of the latents page that compare trainings with each other, with permuted labels and with a known truth."""

import numpy as np
import pandas as pd
from IPython.display import HTML

from perturbook.evaluation.programs import pruned
from perturbook.evaluation.stability import SURE, edge_frequency
from perturbook.pages import latents_simulated
from perturbook.pages.html_table import table
from perturbook.pages.identifiability import ARMS as SIMULATED_ARMS
from perturbook.pages.latents_compared import agreement, permuted
from perturbook.pages.latents_deposit import ensemble
from perturbook.pages.latents_tables import mean_and_range
from perturbook.pages.present import number

THRESHOLDS = (0.05, 0.1, 0.25)
"""Of `edge_table`; the last is the paper's."""
AGREE = {
    "latents": "Matched responsive latents: mean absolute correlation",
    "unmatched": "For comparison: responsive latents not matched to each other",
    "programs": "Programs: adjusted Rand index",
    "edges": "Edges: correlation of standardised weights",
    "block": "Invariant latents: R² from one seed to another, up to an affine map",
}
"""Measure of `agreement` -> words."""


def edge_table(rows: pd.DataFrame) -> HTML:
    """Edges above thresholds, how many of them recur, and how many permuted labels give."""
    filled = []
    for kind in ("control", "averaged"):
        ours, null = ensemble(rows, "paired", kind), permuted(rows, kind)
        matched = ours.matched_edges()
        for threshold in THRESHOLDS:
            mine = [int(pruned(w, threshold).sum()) for w in ours.edges]
            sure = (edge_frequency(matched, threshold) >= SURE) & pruned(ours.edges[0], threshold)
            other = [pruned(w, threshold).sum() for one in null for w in one.edges]
            filled.append(
                {
                    "Edges": "at control" if kind == "control" else "averaged over u",
                    "Threshold": f"{threshold:.2f}",
                    "Above it, every seed": ", ".join(map(str, mine)),
                    f"Of seed 0, in {SURE:.0%} of seeds": str(int(sure.sum())),
                    "Above it, permuted labels (mean)": number(np.mean(other), 1),
                }
            )
    size = len(ours.edges[0])
    return HTML(
        table(filled, f"Real cells: standardised edges, of {size * (size - 1) // 2} that the order allows")
    )


def agreement_table(rows: pd.DataFrame) -> HTML:
    """Agreement between seeds, with measured labels and with permuted ones."""
    filled = []
    for key, one in agreement(rows).items():
        filled.append(
            {
                "Agreement of two seeds": AGREE[key],
                "Measured labels": mean_and_range(one.pairs),
                "Permuted labels": mean_and_range(one.null),
                "Share of permutations as high (p)": "" if key == "unmatched" else number(one.p, 2),
            }
        )
    pairs, every = len(one.pairs), len(one.null)
    return HTML(
        table(
            filled,
            f"Real cells: mean and range over {pairs} pairs of seeds, and over {every} permutations, a pair each",
        )
    )


def simulated_table(stored: pd.DataFrame) -> HTML:
    """Every measure on the simulated world, for both ways to pair."""
    filled, true = [], stored.loc[stored["arm"] == "truth", "value"].iloc[0]
    for measure, words in latents_simulated.MEASURES.items():
        row = {"Simulated world": words.format(true=number(true, 2))}
        for name in latents_simulated.SHOWN:
            values = stored.loc[(stored["arm"] == name) & (stored["measure"] == measure), "value"].to_numpy(
                float
            )
            row[SIMULATED_ARMS[name].title] = mean_and_range(values)
        filled.append(row)
    seeds = latents_simulated.SEEDS
    return HTML(
        table(filled, f"Simulated cells: mean and range over {seeds} seeds of the model, or over their pairs")
    )
