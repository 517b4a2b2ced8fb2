"""`gears`: the published `simulation` split of GEARS, with its own random draws."""

from collections.abc import Collection

import numpy as np

from perturbook.splits.gene_screen import Genes, GeneScreen, forbidden_where, genes_by_label, unseen_genes
from perturbook.splits.partition import Split
from perturbook.splits.setting import Drawn, Screen, setting

GENE_SHARE, PAIR_SHARE = 0.75, 0.75  # training genes, and training share of the doubles of two training genes
VALID_SHARES = (0.9, 0.9)
N_SEEN = {"seen 0": 0, "seen 1": 1, "seen 2": 2, "unseen single": 0}


def forbidden(screen: Screen, split: Split) -> np.ndarray:
    """Treated cells of what is asked about, of every condition that contains an unseen gene, and other contexts."""
    labels = genes_by_label(split.conditions["perturbation"].unique())
    stratum = split.conditions.drop_duplicates("perturbation").set_index("perturbation")["stratum"]
    n_seen = {genes: N_SEEN[stratum[label]] for label, genes in labels.items()}
    hidden = unseen_genes(split, n_seen)
    return forbidden_where(screen, split, lambda genes: genes in n_seen or bool(hidden & set(genes)))


def simulate(
    conditions: Collection[Genes], gene_share: float, pair_share: float, seed: int
) -> tuple[list[Genes], dict[Genes, str], list[str]]:
    """Divide singles and doubles once: those to train on, the stratum of each other, and the unseen genes.

    Source: perturbedvae.md section 14; `get_simulation_split` of snap-stanford/GEARS at f374e43, where the generator
    is seeded anew before either draw, from the sorted genes and the sorted labels.
    """

    def pick(names: list[str], share: float) -> set[str]:
        # The published sets are defined by numpy's legacy generator; a new one would give others.
        legacy = np.random.RandomState(seed)
        return set(legacy.choice(names, int(len(names) * share), replace=False))

    genes = sorted({gene for one in conditions for gene in one})
    seen = pick(genes, gene_share)
    both = [one for one in conditions if len(one) == 2 and seen.issuperset(one)]
    kept = pick(sorted("+".join(one) for one in both), pair_share)
    train, strata = [], {}
    for one in sorted(conditions):
        if len(one) == 1 and one[0] in seen or one in both and "+".join(one) in kept:
            train.append(one)
        else:
            strata[one] = "unseen single" if len(one) == 1 else f"seen {len(seen.intersection(one))}"
    return train, strata, [gene for gene in genes if gene not in seen]


@setting(
    "gears",
    title="GEARS' published split",
    question="A quarter of the genes is new: what do they do alone, and in pairs with known and unknown genes?",
    takes=("context",),
    forbidden=forbidden,
    of_genes=True,
)
def draw(screen: Screen, rng: np.random.Generator, context: str | None = None) -> Drawn:
    """Hold out the singles and doubles of a quarter of the genes, and a quarter of the doubles of two known genes.

    Validation comes from the rest by the same rule with nine tenths. The published seen 0, seen 1 and unseen singles
    come out where the genes agree; the seen 2 too where labels put the genes of a double in the same order, since the
    draw is over sorted labels.

    Args:
        screen: labels of the data set.
        rng: tells the seed, which seeds the legacy generator of the published code.
        context: the context the setting concerns.

    Raises:
        ConfigError: unknown context, or there are no singles or no doubles.

    Source: perturbedvae.md section 14 (`simulation` split of GEARS).
    """
    genes = GeneScreen.of(screen, context)
    seed = rng.bit_generator.seed_seq.entropy
    train, strata, unseen = simulate(genes.sized(1) + genes.sized(2), GENE_SHARE, PAIR_SHARE, seed)
    _, validating, _ = simulate(train, *VALID_SHARES, seed)
    return genes.drawn(
        genes.cells(strata), genes.cells(validating), genes.cells(train), {"unseen_genes": unseen}, strata
    )
