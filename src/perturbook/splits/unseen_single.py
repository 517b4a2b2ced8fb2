"""`unseen_single`: a gene that no training condition contains, alone or in a double."""

import numpy as np

from perturbook.splits.gene_screen import GeneScreen, asked, forbidden_where
from perturbook.splits.partition import Split
from perturbook.splits.setting import Drawn, Screen, setting

TEST_SHARE = 0.2  # of the genes; our choice, as for drugs


def forbidden(screen: Screen, split: Split) -> np.ndarray:
    """Treated cells of every condition that contains a gene to predict, and other contexts."""
    hidden = {gene for genes in asked(split) for gene in genes}
    return forbidden_where(screen, split, lambda genes: bool(hidden & set(genes)))


@setting(
    "unseen_single",
    title="Unseen gene",
    question="A gene that nobody has perturbed yet: what will perturbing it do?",
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
    """Hold out a fifth of the genes, at least one, with every double they are in; the next fifth validates.

    The singles of the held-out genes are tested, their doubles are in no part. Validation has every other condition
    that contains one of its genes.

    Args:
        screen: labels of the data set.
        rng: source of the order of genes.
        held_out: genes to test instead; drawn when None.
        context: the context the setting concerns.

    Raises:
        ConfigError: unknown context or gene, or there are no singles.

    Source: our choice; the folds over drugs of scdca.md section 5, for genes.
    """
    genes = GeneScreen.of(screen, context)
    order = [gene for (gene,) in rng.permutation(genes.sized(1))]
    n = max(1, round(TEST_SHARE * len(order)))
    test = order[:n] if held_out is None else [gene for (gene,) in genes.named(held_out, 1)]
    valid = [gene for gene in order if gene not in test][:n]
    known = {one for one in genes.labels.values() if not set(one) & set(test)}
    validating = {one for one in known if set(one) & set(valid)}
    return genes.drawn(
        genes.cells([(gene,) for gene in test]), genes.cells(validating), genes.cells(known), {}
    )
