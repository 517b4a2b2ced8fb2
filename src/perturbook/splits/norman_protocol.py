"""`norman_protocol`: the published protocol on Norman et al.: new cells of the large singles, and every double, from singles."""

import numpy as np

from perturbook.errors import ConfigError
from perturbook.splits.gene_screen import GeneScreen, forbidden_where
from perturbook.splits.partition import Split
from perturbook.splits.random_cells import VALID_SHARE, draw_cells
from perturbook.splits.seen_single import MOST
from perturbook.splits.setting import Drawn, Screen, setting

LARGE = 800
"""Cells above which a single is tested. Source: `perturbedvae.md` section 9."""


def forbidden(screen: Screen, split: Split) -> np.ndarray:
    """The test cells, every cell of a condition that is no single, and other contexts."""
    return screen.obs.index.isin(split.test) | forbidden_where(screen, split, lambda genes: len(genes) != 1)


@setting(
    "norman_protocol",
    title="Published protocol: cells of large singles, and every double",
    question="Singles are known: what do other cells of the large ones look like, and what does every pair do?",
    takes=("context",),
    forbidden=forbidden,
    of_genes=True,
    shares_conditions=lambda split: True,
)
def draw(screen: Screen, rng: np.random.Generator, context: str | None = None) -> Drawn:
    """Test 96 cells of every single of more than 800 cells, and all doubles; a tenth of the other cells of singles validates.

    The published 96 are the first of each condition in its file; here they are drawn. `stratum` is "new cells" for a single
    and counts the genes of a double that are ever alone: where one is not, no code of training names it.

    Raises:
        ConfigError: unknown context, no singles or no doubles, or no single of more than 800 cells.

    Source: `perturbedvae.md` section 9; the validation share is our choice.
    """
    genes = GeneScreen.of(screen, context)
    doubles, singles = genes.sized(2), genes.sized(1)
    large = [single for single in singles if genes.cells([single]).sum() > LARGE]
    if not large:
        raise ConfigError(
            f"norman_protocol tests new cells of singles of more than {LARGE} cells, and {genes.context} has none; "
            "seen_single and double_seen2 ask the same of a smaller screen."
        )
    (tested,) = draw_cells(screen, genes.cells(large), rng, (1.0,), MOST)
    learned = genes.cells(singles) & ~tested
    (valid,) = draw_cells(screen, learned, rng, (VALID_SHARE,))
    strata = {single: "new cells" for single in large}
    strata |= {pair: f"seen {sum((gene,) in singles for gene in pair)}" for pair in doubles}
    return genes.drawn(tested | genes.cells(doubles), valid, learned, {}, strata)
