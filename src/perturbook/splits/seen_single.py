"""`seen_single`: new cells of single perturbations that training has seen; doubles are in no part."""

import numpy as np

from perturbook.splits.gene_screen import GeneScreen, forbidden_where
from perturbook.splits.partition import Split
from perturbook.splits.random_cells import TEST_SHARE, VALID_SHARE, draw_cells
from perturbook.splits.setting import Drawn, Screen, setting

MOST = 96
"""Test cells per single, as in the published protocol (perturbedvae.md section 9)."""


def forbidden(screen: Screen, split: Split) -> np.ndarray:
    """The test cells, every cell of a condition that is no single, and other contexts."""
    return screen.obs.index.isin(split.test) | forbidden_where(screen, split, lambda genes: len(genes) != 1)


@setting(
    "seen_single",
    title="New cells of single gene perturbations",
    question="Can the model describe other cells of a gene that it saw perturbed?",
    takes=("held_out", "context"),
    forbidden=forbidden,
    of_genes=True,
    shares_conditions=lambda split: True,
)
def draw(
    screen: Screen,
    rng: np.random.Generator,
    held_out: str | list[str] | None = None,
    context: str | None = None,
) -> Drawn:
    """Test a fifth of the cells of every single, at most 96, and validate on a tenth.

    Args:
        screen: labels of the data set.
        rng: source of the draw.
        held_out: singles to test; the others are in training whole. All singles when None.
        context: the context the setting concerns.

    Raises:
        ConfigError: unknown context or single, or there are no singles.

    Source: perturbedvae.md section 9 (96 cells of the 14 singles of more than 800); a fifth is our choice.
    """
    genes = GeneScreen.of(screen, context)
    singles = genes.sized(1)
    among = genes.cells(singles if held_out is None else genes.named(held_out, 1))
    test, valid = draw_cells(screen, among, rng, (TEST_SHARE, VALID_SHARE), MOST)
    return genes.drawn(test, valid, genes.cells(singles), {})
