"""The planted truth of one world of `simulated-pairs`: expression levels, programs, and which doubles are screened.

Everything here is drawn before a single count. All coefficients stand at the top; a changed one needs a new name,
`simulated-pairs-2` (`simulators.md` section 4).
"""

from collections import Counter
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from perturbook.data.simulated_pairs_interaction import BOUND, INTERACTIONS, interaction, interaction_class

GENE_SD = 0.7  # spread of mean log expression between genes
RESPONDING = (0.35, 0.99)  # quantiles of expression between which genes respond, clear of zero counts
HOUSEKEEPING, HOUSEKEEPING_SD = (
    3.0,
    0.4,
)  # log expression of genes that hold half of all counts and never respond
UP_SHARE = 0.6  # share of a module's genes that go up
MODULE_WEIGHT = (0.5, 1.0)  # absolute weight of a gene in its module
REPRESSES = 0.3  # share of perturbed genes that turn their main module around
SECOND_WEIGHT, SECOND_REPRESSES = (
    (0.4, 0.8),
    0.25,
)  # a gene's second module beside its first, and share turned around
GENE_JITTER = 0.15  # spread of log effect between perturbed genes of one module, gene by gene
OWN_WEIGHT = (0.4, 0.9)  # absolute weight of genes that belong to one program only
WEAK, STRONG, STRENGTH_JITTER = 0.7, 1.3, 0.05  # factor on a whole program, and the spread of its log
STRONG_SHARE = 0.625  # share of perturbed genes that are strong


@dataclass(frozen=True)
class Size:
    """How large a screen is drawn."""

    worlds: int
    """Worlds, unless the caller says otherwise."""
    genes: int
    """Measured genes."""
    perturbed: int
    """Perturbed genes of a world."""
    modules: int
    """Sets of genes that move together."""
    module_genes: int
    """Genes of a module."""
    own_genes: int
    """Genes of a program that no module holds."""
    housekeeping: int
    """Genes that hold much of the counts."""
    control: int
    """Control cells of a world."""
    single: int
    """Cells of a single; more than of a double, because every single enters about a dozen predictions."""
    double: int
    """Cells of a double."""


SIZES = {
    "default": Size(5, 300, 24, 5, 24, 10, 20, 500, 150, 50),
    "small": Size(2, 120, 12, 3, 14, 5, 8, 150, 50, 25),
}


@dataclass(frozen=True)
class PairWorld:
    """The truth of one world."""

    basal: np.ndarray
    """Mean log expression of control cells, `(genes,)`."""
    programs: np.ndarray
    """Signed log effect of every single, `(perturbed, genes)`."""
    doubles: np.ndarray
    """Positions of the two genes of every screened double, sorted, `(doubles, 2)`."""
    classes: list[str]
    """Interaction class of every double."""
    interaction: np.ndarray
    """log m_ab - log m_0 minus the sum of the two programs, `(doubles, genes)`."""

    @property
    def log_mean(self) -> np.ndarray:
        """Mean log expression of control, singles and doubles, `(1 + perturbed + doubles, genes)`."""
        pairs = self.programs[self.doubles].sum(axis=1) + self.interaction
        return self.basal + np.vstack([np.zeros_like(self.basal), self.programs, pairs])


def draw_pair_world(rng: np.random.Generator, size: Size) -> PairWorld:
    """Draw a world with half of all doubles: a third of them additive, the others in equal parts of each class.

    Programs are drawn again until there are pairs enough of every class.

    Source: `simulators.md` section 3; all else is our choice.
    """
    pairs = np.array(list(combinations(range(size.perturbed), 2)))
    wanted = _wanted(len(pairs) // 2)
    while True:
        basal, programs = _programs(rng, size)
        classes = np.array([interaction_class(*programs[pair]) for pair in pairs])
        if Counter(classes.tolist()) >= wanted:
            break
    chosen = [rng.choice(np.flatnonzero(classes == name), n, replace=False) for name, n in wanted.items()]
    chosen = np.sort(np.concatenate(chosen))
    planted = np.array([interaction(*programs[pair]) for pair in pairs[chosen]])
    return PairWorld(basal, programs, pairs[chosen], classes[chosen].tolist(), planted)


def _wanted(doubles: int) -> Counter:
    """How many doubles of each class."""
    others = [name for name in INTERACTIONS if name != "additive"]
    additive = doubles // 3
    each, more = divmod(doubles - additive, len(others))
    return Counter({"additive": additive} | {name: each + (i < more) for i, name in enumerate(others)})


def _programs(rng: np.random.Generator, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Draw expression levels `(genes,)` and programs `(perturbed, genes)`, each of two modules and genes of its own."""
    n = size.perturbed
    basal = rng.normal(0.0, GENE_SD, size.genes)
    low, high = np.quantile(basal, RESPONDING)
    responds = (basal > low) & (basal < high)
    still = rng.choice(np.flatnonzero(~responds), size.housekeeping, replace=False)
    basal[still] = rng.normal(HOUSEKEEPING, HOUSEKEEPING_SD, size.housekeeping)
    pool = rng.permutation(np.flatnonzero(responds))
    members, rest = np.split(pool, [size.modules * size.module_genes])
    module = np.zeros((size.modules, size.genes))
    for row, genes in zip(module, members.reshape(size.modules, -1), strict=True):
        row[genes] = _signs(rng, UP_SHARE, genes.size) * rng.uniform(*MODULE_WEIGHT, genes.size)
    main = np.arange(n) % size.modules
    second = (main + rng.integers(1, size.modules, n)) % size.modules
    weight = np.zeros((n, size.modules))
    weight[np.arange(n), main] = _signs(rng, 1 - REPRESSES, n)
    weight[np.arange(n), second] = _signs(rng, 1 - SECOND_REPRESSES, n) * rng.uniform(*SECOND_WEIGHT, n)
    raw = (weight @ module) * np.exp(rng.normal(0.0, GENE_JITTER, (n, size.genes)))
    for row in raw:
        own = rng.choice(rest, size.own_genes, replace=False)
        row[own] = _signs(rng, 0.5, own.size) * rng.uniform(*OWN_WEIGHT, own.size)
    factor = np.where(rng.permutation(n) < round(STRONG_SHARE * n), STRONG, WEAK)
    raw *= (factor * np.exp(rng.normal(0.0, STRENGTH_JITTER, n)))[:, None]
    return basal, BOUND * np.tanh(raw / BOUND)


def _signs(rng: np.random.Generator, up: float, n: int) -> np.ndarray:
    return np.where(rng.random(n) < up, 1.0, -1.0)
