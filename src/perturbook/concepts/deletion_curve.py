"""Deletion curves: how much of a concept is left when the top genes of an order are swapped at once. Lower is better.

The order comes from half of the prototypes, the curve from the other half. Of an order those genes are taken that differ
in the pair, so that every order swaps equally many. Source: `concepts.md` section 5.2; the last rule is our choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from perturbook.concepts.attribution import ConceptAttribution
from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.gradient_screen import first_order
from perturbook.concepts.swap_encoder import Concepts, SwapEncoder
from perturbook.errors import InputError

SIZES = (1, 2, 5, 10, 20, 50, 100, 200)
RANDOM, BINS = 20, 10


def halves(attribution: ConceptAttribution) -> tuple[ConceptAttribution, ConceptAttribution]:
    """The attribution on every other prototype, and on those between; raises InputError for fewer than two with a pair."""
    kept = [one for one in attribution.matched if one.read]
    if len(kept) < 2:
        raise InputError(
            f"Concept {attribution.concept} has {len(kept)} prototypes with a counterfactual; a deletion curve needs two."
        )
    return tuple(
        replace(
            attribution,
            matched=half,
            swaps=attribution.swaps[attribution.swaps["prototype"].isin([one.cell for one in half])],
        )
        for half in (kept[::2], kept[1::2])
    )


def orders(
    encoder: SwapEncoder,
    concepts: Concepts,
    cells: Cells,
    half: ConceptAttribution,
    others: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Scores of all genes by which they are ordered, `(genes,)` each; a larger score goes first.

    Args:
        encoder: for the gradient.
        concepts: for the gradient.
        cells: for the expression level.
        half: the attribution on the half that decides.
        others: further arms such as differential expression, from the same half or from cells outside both.
        seed: of the random orders.

    Returns:
        "attribution", "pre-activation", "gradient", "expression level" and the others; then "random 0" and so on, each the
        attribution permuted among genes of like expression in the prototypes (ten bins).
    """
    size = len(half.genes)
    scores = half.scores
    gradient = np.zeros(size)
    reads = [read for one in half.matched for read in one.read]
    for read in reads:
        change = first_order(encoder, concepts, read, [half.concept])[0]
        gradient[read.pair.genes[read.pair.at]] -= change / float(read.codes[0, half.concept])
    level = np.asarray(cells.counts[[one.cell for one in half.matched]].mean(axis=0)).ravel()
    made = {
        "attribution": scores["relative"].fillna(0).to_numpy(),
        "pre-activation": scores["pre"].fillna(0).to_numpy(),
        "gradient": gradient / len(reads),
        "expression level": level,
    } | dict(others or {})
    bins = np.empty(size, dtype=int)
    bins[np.lexsort((np.arange(size), level))] = np.arange(size) * BINS // max(size, 1)
    for number in range(RANDOM):
        rng = np.random.default_rng([seed, number])
        permuted = made["attribution"].copy()
        for one in range(BINS):
            of = np.flatnonzero(bins == one)
            permuted[of] = permuted[rng.permutation(of)]
        made[f"random {number}"] = permuted
    return made


def deletion_curve(
    encoder: SwapEncoder,
    concepts: Concepts,
    half: ConceptAttribution,
    scores: Mapping[str, np.ndarray],
    sizes: Sequence[int] = SIZES,
) -> pd.DataFrame:
    """Code that is left, as a share of that of the prototype: means over the pairs of the other half.

    Args:
        encoder: which embeds the swapped cells.
        concepts: which give their codes.
        half: the attribution on the half that was not used for the orders.
        scores: from `orders`.
        sizes: how many genes are swapped.

    Returns:
        One row per order, one column per size; a pair with fewer differing genes has all of them swapped.
    """
    total = np.zeros((len(scores), len(sizes)))
    reads = [read for one in half.matched for read in one.read]
    for read in reads:
        pair = read.pair
        inputs = []
        for order in scores.values():
            first = np.argsort(-np.asarray(order, float)[pair.genes[pair.at]], kind="stable")
            inputs += [pair.together(pair.at[first[:size]]) for size in sizes]
        unique, which = np.unique(np.stack(inputs), axis=0, return_inverse=True)
        with torch.no_grad():
            codes = concepts.encode(encoder.embed(pair.genes, unique))[:, half.concept].numpy()
        total += (codes[which] / read.codes[0, half.concept]).reshape(total.shape)
    return pd.DataFrame(total / len(reads), index=pd.Index(scores, name="order"), columns=list(sizes))


def area(curve: pd.DataFrame) -> pd.Series:
    """Mean height of each curve over the logarithm of the number of genes, by trapezoids."""
    steps = np.log(np.array(curve.columns, dtype=float))
    heights = curve.to_numpy()
    sums = ((heights[:, 1:] + heights[:, :-1]) / 2 * np.diff(steps)).sum(axis=1)
    return pd.Series(sums / (steps[-1] - steps[0]), index=curve.index, name="area")
