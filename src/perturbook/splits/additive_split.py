"""`additive_split`: all singles and half of the doubles are known, the other doubles are to be predicted."""

import numpy as np

from perturbook.splits.gene_screen import GeneScreen, asked, forbidden_where
from perturbook.splits.partition import Split
from perturbook.splits.setting import Drawn, Screen, setting

TEST_SHARE, VALID_SHARE = 0.5, 0.2  # half as published; a fifth of the training doubles is our choice


def forbidden(screen: Screen, split: Split) -> np.ndarray:
    """Treated cells of the doubles to predict, of conditions of more than two genes, and other contexts."""
    tested = asked(split)
    return forbidden_where(screen, split, lambda genes: genes in tested or len(genes) > 2)


@setting(
    "additive_split",
    title="Unseen double among known doubles",
    question="All genes alone and half of the pairs are known: what do the other pairs do?",
    takes=("held_out", "context"),
    forbidden=forbidden,
    of_genes=True,
)
def draw(
    screen: Screen,
    rng: np.random.Generator,
    held_out: str | list[str] | None = None,
    context: str | None = None,
) -> Drawn:
    """Test half of the doubles, rounded down; all singles and the other doubles are learned from.

    A fifth of the training doubles, at least one, validates. `stratum` counts the genes of a double that have a single.

    Args:
        screen: labels of the data set.
        rng: source of the order of doubles.
        held_out: doubles to test instead, genes in either order; drawn when None.
        context: the context the setting concerns.

    Raises:
        ConfigError: unknown context or double, or there are no singles or no doubles.

    Source: perturbedvae.md section 14, additive split (Ahlmann-Eltze et al.).
    """
    genes = GeneScreen.of(screen, context)
    doubles, singles = genes.sized(2), genes.sized(1)
    order = [tuple(pair) for pair in rng.permutation(doubles)]
    test = order[: int(TEST_SHARE * len(order))] if held_out is None else genes.named(held_out, 2)
    rest = [pair for pair in order if pair not in test]
    valid = rest[: max(1, round(VALID_SHARE * len(rest)))]
    strata = {pair: f"seen {sum((gene,) in singles for gene in pair)}" for pair in doubles}
    return genes.drawn(genes.cells(test), genes.cells(valid), genes.cells(singles + rest), {}, strata)
