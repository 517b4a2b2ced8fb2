"""Attributions as tables: one row per swap, one row per pair of cells.

Source: `concepts.md` section 5.1.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from perturbook.concepts.concept_pairs import Matched, ReadPair
from perturbook.concepts.swap_encoder import Concepts

COLUMNS = {
    "prototype": np.int64,
    "counterfactual": np.int64,
    "gene": np.int64,
    "kind": np.int8,
    "relative": np.float32,
    "absolute": np.float32,
    "pre": np.float32,
    "overtaken": bool,
    "exact": bool,
    "first_order": np.float32,
}
"""Of the table of swaps; see `ConceptAttribution.swaps`."""
PAIR_COLUMNS = (
    *("prototype", "status", "passed_over", "counterfactual", "distance", "genes", "differing"),
    *(f"{name}{of}" for name in ("code", "pre", "shift") for of in ("", "_counterfactual")),
)
"""Of the table of pairs; see `ConceptAttribution.pairs`."""


def swap_columns(
    concepts: Concepts,
    read: ReadPair,
    of: list[int],
    at: np.ndarray,
    embeddings: Tensor,
    changes: np.ndarray | None = None,
) -> dict[int, dict]:
    """Columns of the swaps of one pair, by concept.

    Args:
        concepts: all of them.
        read: the pair.
        of: numbers of the concepts that are attributed on it.
        at: positions on its list that were computed, `(n,)`.
        embeddings: of the swaps there, `(n, width)`.
        changes: of the pre-activations to first order, `(of, swaps that differ)`; None without a screen.
    """
    pair = read.pair
    with torch.no_grad():
        pre, codes = (
            one[:, of].numpy().astype(float)
            for one in (concepts.pre_activations(embeddings), concepts.encode(embeddings))
        )
    everywhere = at if changes is None else pair.at
    exact = np.isin(everywhere, at)
    made = {}
    for number, concept in enumerate(of):
        before, before_other = (float(one) for one in read.pre[:, concept])
        code = float(read.codes[0, concept])
        absolute = _spread(code - codes[:, number], exact)
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = _spread(np.divide(before - pre[:, number], before - before_other), exact)
        made[concept] = {
            "prototype": np.full(len(everywhere), pair.cell),
            "counterfactual": np.full(len(everywhere), pair.counterfactual),
            "gene": pair.genes[everywhere],
            "kind": pair.kinds(everywhere),
            "relative": absolute / code,
            "absolute": absolute,
            "pre": moved,
            "overtaken": _spread((codes[:, number] == 0) & (pre[:, number] > 0), exact) == 1,
            "exact": exact,
            "first_order": np.full(len(everywhere), np.nan) if changes is None else -changes[number] / code,
        }
    return made


def _spread(values: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Values at the places that are exact, NaN elsewhere."""
    made = np.full(len(exact), np.nan)
    made[exact] = values
    return made


def swap_table(parts: list[dict]) -> pd.DataFrame:
    """The table of all swaps of one concept, of the columns of its pairs."""
    return pd.DataFrame(
        {
            name: np.concatenate([part[name] for part in parts]).astype(kind) if parts else np.zeros(0, kind)
            for name, kind in COLUMNS.items()
        }
    )


def pair_table(matched: list[Matched], concept: int) -> pd.DataFrame:
    """One row per pair, and one per prototype without any; see `ConceptAttribution.pairs`."""
    rows = []
    for one in matched:
        common = {"prototype": one.cell, "status": one.status, "passed_over": one.passed_over}
        for read, distance in zip(one.read, one.distances, strict=True):
            of = {
                "counterfactual": read.pair.counterfactual,
                "distance": distance,
                "genes": len(read.pair.genes),
                "differing": len(read.pair.at),
            }
            for name, both in (
                ("code", read.codes[:, concept]),
                ("pre", read.pre[:, concept]),
                ("shift", read.shifts),
            ):
                of |= {name: float(both[0]), f"{name}_counterfactual": float(both[1])}
            rows.append(common | of)
        if not one.read:
            rows.append(common)
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)
