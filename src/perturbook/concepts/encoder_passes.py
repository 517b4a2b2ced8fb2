"""Encoder passes: one answers all concepts, equal questions are asked once, and genes that are equal are not asked about.

A pass is one cell with one gene at another value. Two pairs ask the same where the cell enters with the same genes and
values, and the same gene takes the same value, whatever the counterfactual. Source: `concepts.md` section 5.3.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from perturbook.concepts.swap_encoder import SwapEncoder
from perturbook.concepts.token_swap import Pair


@dataclass
class Passes:
    """How many encoder passes an attribution took, and how many it would have taken."""

    asked: int = 0
    """Genes of all lists of all (concept, prototype, counterfactual): passes of a loop that skips nothing."""
    differing: int = 0
    """Those whose gene differs."""
    shared: int = 0
    """Those left when a pair is asked once for all concepts that share it."""
    run: int = 0
    """Those left without equal questions of different pairs, and without swaps that were only screened: what was computed."""

    @property
    def saved(self) -> float:
        """Share of the passes of a plain loop that were not needed; NaN where there were none."""
        return 1 - self.run / self.asked if self.asked else float("nan")

    @property
    def said(self) -> str:
        """One sentence."""
        return (
            f"{self.run:,} encoder passes instead of {self.asked:,}: {self.asked - self.differing:,} genes equal in both "
            f"cells, {self.differing - self.shared:,} passes shared by concepts, {self.shared - self.run:,} asked twice "
            f"or only screened."
        )


def answer(
    encoder: SwapEncoder,
    pairs: Sequence[Pair],
    positions: Sequence[np.ndarray] | None = None,
    passes: Passes | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Embeddings of single swaps of every pair.

    Args:
        encoder: what is asked.
        pairs: each once.
        positions: which positions on the list of each pair are asked; all that differ where None.
        passes: where the passes that are run are counted.

    Yields:
        The number of the pair, and embeddings `(positions, width)`; pairs of one cell follow each other.
    """
    positions = [pair.at for pair in pairs] if positions is None else positions
    groups = defaultdict(list)
    for number, pair in enumerate(pairs):
        there = pair.base != 0
        groups[pair.genes[there].tobytes(), pair.base[there].tobytes()].append(number)
    for members in groups.values():
        genes = np.unique(np.concatenate([pairs[one].genes for one in members]))
        base = np.zeros(len(genes), dtype=np.float32)
        base[np.searchsorted(genes, pairs[members[0]].genes)] = pairs[members[0]].base
        at = [np.searchsorted(genes, pairs[one].genes[positions[one]]) for one in members]
        new = [pairs[one].other[positions[one]] for one in members]
        questions = np.stack([np.concatenate(at), np.concatenate(new)])
        unique, which = np.unique(questions, axis=1, return_inverse=True)
        if passes is not None:
            passes.run += unique.shape[1]
        made = encoder.swapped(genes, base, unique[0].astype(int), unique[1].astype(np.float32))
        ends = np.cumsum([len(one) for one in at])
        for number, end, part in zip(members, ends, at, strict=True):
            yield number, made[which[end - len(part) : end]]
