"""What an attribution must be shown with: does it add up, what is its cutoff, how artificial are the swapped cells.

Source: `concepts.md` sections 4 and 5.2.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from perturbook.concepts.attribution import ConceptAttribution
from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.swap_encoder import Concepts, SwapEncoder

CUTOFFS = (0.01, 0.02, 0.05, 0.1)
NULL_PERCENTILE = 99
BLOCK = 1024


def joint_swap(encoder: SwapEncoder, concepts: Concepts, attribution: ConceptAttribution) -> np.ndarray:
    """Relative change by swapping all differing genes of each pair at once, `(pairs,)`.

    It is 1 in every pair whose counterfactual does not activate the concept; anything else is a fault of the pipeline.
    """
    made = []
    for read in (read for one in attribution.matched for read in one.read):
        z = encoder.embed(read.pair.genes, np.stack([read.pair.base, read.pair.together(read.pair.at)]))
        with torch.no_grad():
            before, after = concepts.encode(z)[:, attribution.concept].tolist()
        made.append((before - after) / before)
    return np.array(made)


def identity_noise(
    encoder: SwapEncoder,
    concepts: Concepts,
    attribution: ConceptAttribution,
    batches: Iterable[int] = (1, 3, 16),
) -> np.ndarray:
    """Noise floor of each pair, `(pairs,)`: relative standard deviation of the code when up to 16 genes take the value that
    they have, in batches of several sizes. Below 1e-4, or the encoder is not deterministic enough to be attributed."""
    made = []
    for read in (read for one in attribution.matched for read in one.read):
        pair = read.pair
        at = np.flatnonzero(pair.base)[:16]
        parts = [at[start : start + size] for size in batches for start in range(0, len(at), size)]
        z = torch.cat([encoder.swapped(pair.genes, pair.base, part, pair.base[part]) for part in parts])
        with torch.no_grad():
            codes = concepts.encode(z)[:, attribution.concept]
        made.append(float(codes.std(correction=0)) / float(read.codes[0, attribution.concept]))
    return np.array(made)


def completeness(attribution: ConceptAttribution) -> pd.DataFrame:
    """Sum of the attributions of each pair over its joint change, one row per pair.

    Columns `relative` and `pre`. 1: genes act independently; below 1: they stand in for each other; above 1: they act
    together. NaN for a pair whose swaps were not all computed.
    """
    swaps, concept = attribution.swaps, attribution.concept
    sums = swaps.groupby(["prototype", "counterfactual"])[["relative", "pre"]].agg(
        lambda values: values.sum(skipna=False, min_count=1)
    )
    joint = {
        (read.pair.cell, read.pair.counterfactual): 1 - float(read.codes[1, concept] / read.codes[0, concept])
        for one in attribution.matched
        for read in one.read
    }
    joint = pd.Series(joint, dtype=float).reindex(sums.index)
    return sums.assign(relative=sums["relative"] / joint.where(joint != 0))


def quartiles(values: pd.Series) -> pd.Series:
    """Lower quartile, median and upper quartile of the defined values, and their number."""
    values = values.dropna()
    return pd.concat([values.quantile([0.25, 0.5, 0.75]), pd.Series({"n": len(values)})])


def above_cutoffs(scores: pd.Series, cutoffs: Iterable[float] = CUTOFFS) -> pd.Series:
    """Genes whose score is above each cutoff; 0.05 is the paper's, and it gave no reason for it."""
    return pd.Series({cutoff: int((scores > cutoff).sum()) for cutoff in cutoffs}, name="genes")


def null_cutoff(controls: Iterable[ConceptAttribution], by: str = "relative") -> float:
    """99th percentile of the absolute scores of tested genes under negative controls; NaN where there are none.

    Source: `concepts.md` section 5.2; that all controls are pooled is our choice.
    """
    parts = [one.scores.loc[one.scores["status"] == "exact", by].abs() for one in controls]
    pooled = pd.concat(parts) if parts else pd.Series(dtype=float)
    return float(np.percentile(pooled, NULL_PERCENTILE)) if len(pooled) else float("nan")


def rank_agreement(first: ConceptAttribution, second: ConceptAttribution, by: str = "relative") -> float:
    """Spearman correlation of two attributions of one concept over genes tested in both; NaN below three genes.

    Such as the levels "token" and "raw", or with and without `match_on`.
    """
    both = [
        one.scores.loc[one.scores["status"] == "exact", by].astype(float).round(12) for one in (first, second)
    ]
    joined = pd.concat(both, axis=1, join="inner").dropna()
    if len(joined) < 3:
        return float("nan")
    return float(joined.iloc[:, 0].corr(joined.iloc[:, 1], method="spearman"))


def off_manifold(
    encoder: SwapEncoder, cells: Cells, attribution: ConceptAttribution, n: int = 200, seed: int = 0
) -> np.ndarray:
    """How far swapped cells lie from real ones: distance to the nearest, over the median distance of real neighbours.

    Args:
        encoder: which made the embeddings.
        cells: the real ones.
        attribution: whose exact swaps are sampled.
        n: swaps at most.
        seed: decides which.

    Returns:
        `(swaps,)`; values far above 1 are cells that nobody has seen. A single swap stays near its own prototype.
    """
    exact = attribution.swaps[attribution.swaps["exact"]]
    exact = exact.sample(min(n, len(exact)), random_state=seed)
    pairs = {
        (read.pair.cell, read.pair.counterfactual): read.pair
        for one in attribution.matched
        for read in one.read
    }
    made = []
    for key, rows in exact.groupby(["prototype", "counterfactual"], sort=False):
        pair = pairs[key]
        at = np.searchsorted(pair.genes, rows["gene"].to_numpy())
        made.append(encoder.swapped(pair.genes, pair.base, at, pair.other[at]))
    if not made:
        return np.zeros(0)
    real = torch.from_numpy(np.ascontiguousarray(cells.embeddings)).to(made[0].dtype)
    some = np.random.default_rng(seed).permutation(len(real))[:n]
    usual = nearest(real[some], real, torch.from_numpy(some)).median()
    return (nearest(torch.cat(made), real) / usual).numpy()


def nearest(of: Tensor, real: Tensor, itself: Tensor | None = None) -> Tensor:
    """Distance of each row of `of` `(n, width)` to its nearest real cell, `(n,)`; never to row `itself`, where given."""
    best = torch.full((len(of),), torch.inf, dtype=of.dtype)
    for start in range(0, len(real), BLOCK):
        block = real[start : start + BLOCK]
        distances = torch.cdist(of, block, compute_mode="donot_use_mm_for_euclid_dist")
        if itself is not None:
            here = (itself >= start) & (itself < start + len(block))
            distances[here, itself[here] - start] = torch.inf
        best = torch.minimum(best, distances.min(dim=1).values)
    return best
