"""`double_seen2`, `double_seen1`, `double_seen0`: two genes at once, of which both, one or none was seen alone.

Training holds singles only, never a double.
"""

from collections.abc import Callable

import numpy as np

from perturbook.splits.gears import GENE_SHARE
from perturbook.splits.gene_screen import GeneScreen, asked, forbidden_where, unseen_genes
from perturbook.splits.partition import Split
from perturbook.splits.random_cells import VALID_SHARE, draw_cells
from perturbook.splits.setting import Drawn, Screen, setting


def _forbidden(n_seen: int) -> Callable[[Screen, Split], np.ndarray]:
    """Every condition but singles, the singles of genes that must be new, and other contexts."""

    def forbidden(screen: Screen, split: Split) -> np.ndarray:
        hidden = unseen_genes(split, dict.fromkeys(asked(split), n_seen))
        return forbidden_where(screen, split, lambda genes: len(genes) != 1 or genes[0] in hidden)

    return forbidden


def _draw(
    screen: Screen,
    rng: np.random.Generator,
    n_seen: int,
    held_out: str | list[str] | None,
    context: str | None,
) -> Drawn:
    """Test the doubles of which training holds `n_seen` singles; a tenth of the cells of each single validates."""
    genes = GeneScreen.of(screen, context)
    doubles, singles = genes.sized(2), genes.sized(1)
    every = sorted({gene for pair in doubles for gene in pair} | {gene for (gene,) in singles})
    named = [gene for (gene,) in genes.named(held_out, 1)] if held_out is not None else []
    unseen = {gene for gene in every if (gene,) not in singles} | set(named)

    def tested() -> list[tuple[str, ...]]:
        return [pair for pair in doubles if len(set(pair) - unseen) == n_seen]

    if not (tested() or named):
        unseen |= set(rng.permutation(every)[int(GENE_SHARE * len(every)) :].tolist())
    learned = genes.cells([(gene,) for (gene,) in singles if gene not in unseen])
    (valid,) = draw_cells(screen, learned, rng, (VALID_SHARE,))
    strata = dict.fromkeys(doubles, f"seen {n_seen}")
    return genes.drawn(genes.cells(tested()), valid, learned, {"unseen_genes": sorted(unseen)}, strata)


@setting(
    "double_seen2",
    title="Two genes, both seen alone",
    question="Both genes were perturbed alone: what do they do together?",
    takes=("context",),
    forbidden=_forbidden(2),
    of_genes=True,
)
def draw_seen2(screen: Screen, rng: np.random.Generator, context: str | None = None) -> Drawn:
    """Test every double whose two singles exist; training holds all singles and no double.

    Raises:
        ConfigError: unknown context, or there are no singles or no doubles.

    Source: perturbedvae.md section 9, the paper split; validation by cells of the singles is our choice.
    """
    return _draw(screen, rng, 2, None, context)


@setting(
    "double_seen1",
    title="Two genes, one seen alone",
    question="One of the two genes was perturbed alone, the other never: what do they do together?",
    takes=("held_out", "context"),
    forbidden=_forbidden(1),
    of_genes=True,
)
def draw_seen1(
    screen: Screen,
    rng: np.random.Generator,
    held_out: str | list[str] | None = None,
    context: str | None = None,
) -> Drawn:
    """Test every double of which training holds exactly one single.

    A gene without a single is unseen. Where that leaves no such double, the singles of a quarter of the genes are
    withheld.

    Args:
        screen: labels of the data set.
        rng: source of the draw.
        held_out: genes whose singles are withheld in addition; then none is drawn.
        context: the context the setting concerns.

    Raises:
        ConfigError: unknown context or gene, or there are no singles or no doubles.

    Source: perturbedvae.md section 14 (strata of GEARS, a quarter of the genes); singles alone in training is our choice.
    """
    return _draw(screen, rng, 1, held_out, context)


@setting(
    "double_seen0",
    title="Two genes, neither seen alone",
    question="Neither of the two genes was ever perturbed: what do they do together?",
    takes=("held_out", "context"),
    forbidden=_forbidden(0),
    of_genes=True,
)
def draw_seen0(
    screen: Screen,
    rng: np.random.Generator,
    held_out: str | list[str] | None = None,
    context: str | None = None,
) -> Drawn:
    """Test every double of which training holds neither single; options and draw as in `double_seen1`.

    Raises:
        ConfigError: unknown context or gene, or there are no singles or no doubles.

    Source: as `double_seen1`.
    """
    return _draw(screen, rng, 0, held_out, context)
