"""The planted truth of `simulated-drugs`: basal states, gene programs, chemistry, and what lines can respond to.

Everything here is drawn before a single count, so that a page can score against it. All coefficients stand at the
top; a changed coefficient needs a new name, `simulated-drugs-2` (`simulators.md` section 4).
"""

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook.data.molecules import morgan

TABLE = "drug_table.tsv"
SHARED = "shared response"  # a program that every drug moves a little: what the mean of training can know
TOXIC = ("HDAC inhibitor", "topoisomerase I inhibitor", "topoisomerase II inhibitor", "HSP90 inhibitor")

GENE_SD = 0.7  # spread of mean log expression between genes
LINE_SD = 0.25  # spread of a gene's log expression between lines
TARGET_LEVELS = 1.0  # target genes of a mechanism lie between - and + this in the lines, coherently
SHARED_LEVELS = 0.4  # the same for the shared response, on which lines differ less
RESPONSE_STEEPNESS = 2.0  # Hill coefficient of responsiveness over the targets' expression
TARGET_SHARE = 0.35  # share of a program's genes that are its targets
TARGET_WEIGHT, OTHER_WEIGHT = (2.3, 3.1), (1.0, 1.8)  # absolute program weights, log units
UP_SHARE = 0.6  # share of a program's genes that go up
SIDE_WEIGHT = 0.3  # weight of a class on one second mechanism
SHARED_WEIGHT = 0.7  # weight of every class on the shared response
CHEMISTRY_SD = 0.12  # spread of the smooth fingerprint term of a drug's weights
CLIFF_SHARE = 0.1  # drugs whose weights are those of another class than their structure says
EC50_LOG10, EC50_SD = -0.1, 0.3  # log10 of the EC50 in uM, and its spread between drugs
EFFICACY_SD = 0.2  # spread of log efficacy
SLOPES = (1.2, 2.0)  # Hill slopes
TOXICITY = (0.5, 1.0)  # drop of log library size at full response, toxic classes only


@dataclass(frozen=True)
class Size:
    """How large a screen is drawn."""

    lines: int
    """Cell lines."""
    genes: int
    """Genes."""
    classes: int
    """Mechanism classes used, in the order of the drug table."""
    per_class: int
    """Drugs of each class at most."""
    doses: tuple[float, ...]
    """Doses in uM."""
    cells: int
    """Cells per (line, drug, dose)."""
    vehicle: int
    """Control cells per line."""
    program_genes: tuple[int, int]
    """Fewest and most genes of a program."""
    strength: float
    """Factor on program weights; below 1 where programs are a large part of the genes."""


SIZES = {
    "default": Size(6, 600, 12, 6, (0.01, 0.1, 1.0, 10.0), 20, 300, (28, 40), 1.0),
    "small": Size(3, 120, 4, 4, (1.0, 10.0), 10, 60, (15, 18), 0.55),
}


@dataclass(frozen=True)
class World:
    """The truth of one seed; array names as in `uns["truth"]`."""

    contexts: list[str]
    """Cell lines."""
    genes: list[str]
    """Names that no human gene bears."""
    drugs: pd.DataFrame
    """Index: name; columns `smiles mechanism`, and the truth `efficacy ec50_um slope toxicity activity_cliff`."""
    mechanisms: list[str]
    """Mechanism classes, and the shared response as the last."""
    basal: np.ndarray
    """Mean log expression of untreated cells, `(lines, genes)`."""
    programs: np.ndarray
    """Signed log effect of a mechanism at full response, `(mechanisms, genes)`."""
    targets: np.ndarray
    """Whose basal expression a mechanism needs, boolean `(mechanisms, genes)`; no gene is a target twice."""
    weights: np.ndarray
    """How strongly a drug moves a mechanism, `(drugs, mechanisms)`."""
    responsiveness: np.ndarray
    """How strongly a line responds to a mechanism, 0 to 1, `(lines, mechanisms)`."""


def drug_table(size: Size) -> pd.DataFrame:
    """Read the molecules of a screen: index `name`, columns `smiles mechanism`, both public facts."""
    table = pd.read_csv(Path(__file__).with_name(TABLE), sep="\t", index_col="name")
    table = table[table["mechanism"].isin(table["mechanism"].unique()[: size.classes])]
    return table.groupby("mechanism", sort=False).head(size.per_class)


def draw_world(seed: np.random.SeedSequence, size: Size, shuffled: bool) -> World:
    """Draw the truth of one screen.

    Args:
        seed: source of every draw; with the same one, `shuffled` changes responsiveness and nothing else.
        size: how large a screen.
        shuffled: permute responsiveness across lines, so that controls say nothing about it.

    Source: `simulators.md` section 1; coefficients are our choice.
    """
    rng, shuffle_rng = (np.random.default_rng(child) for child in seed.spawn(2))
    drugs = drug_table(size)
    mechanisms = [*drugs["mechanism"].unique(), SHARED]
    level = rng.normal(0.0, GENE_SD, size.genes)
    programs, targets = _programs(rng, level, len(mechanisms), size)
    basal = level + rng.normal(0.0, LINE_SD, (size.lines, size.genes))
    for name, target in zip(mechanisms, targets, strict=True):
        levels = (SHARED_LEVELS if name == SHARED else TARGET_LEVELS) * np.linspace(-1, 1, size.lines)
        basal[:, target] += rng.permutation(levels)[:, None]
    responsiveness = _responsiveness(basal, level, targets)
    if shuffled:
        orders = [_shuffle(column, shuffle_rng) for column in responsiveness.T]
        responsiveness = np.take_along_axis(responsiveness, np.column_stack(orders), axis=0)
    weights, drugs = _chemistry(rng, drugs, mechanisms)
    return World(
        contexts=[f"line-{line + 1}" for line in range(size.lines)],
        genes=[f"sim-{gene + 1:03d}" for gene in range(size.genes)],
        drugs=drugs,
        mechanisms=mechanisms,
        basal=basal,
        programs=programs,
        targets=targets,
        weights=weights,
        responsiveness=responsiveness,
    )


def _programs(rng: np.random.Generator, level: np.ndarray, n: int, size: Size):
    """Draw sparse signed programs and their target genes, both `(n, genes)`.

    Program genes are well expressed: near zero counts the scored scale bends, and a line's own level of a gene would
    then change its measured effect without any responsiveness.
    """
    low, high = np.quantile(level, [0.4, 0.98])
    pool = rng.permutation(np.flatnonzero((level > low) & (level < high)))
    n_genes = rng.integers(size.program_genes[0], size.program_genes[1] + 1, n)
    n_targets = np.round(TARGET_SHARE * n_genes).astype(int)
    own, rest = np.split(pool, [n_targets.sum()])
    own = np.split(own, np.cumsum(n_targets)[:-1])
    programs, targets = np.zeros((n, level.size)), np.zeros((n, level.size), dtype=bool)
    for m in range(n):
        others = rng.choice(rest, n_genes[m] - n_targets[m], replace=False)
        chosen = np.concatenate([own[m], others])
        sign = np.where(rng.permutation(chosen.size) < UP_SHARE * chosen.size, 1.0, -1.0)
        programs[m, own[m]] = rng.uniform(*TARGET_WEIGHT, own[m].size)
        programs[m, others] = rng.uniform(*OTHER_WEIGHT, others.size)
        programs[m, chosen] *= sign * size.strength
        targets[m, own[m]] = True
    return programs, targets


def _responsiveness(basal: np.ndarray, level: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Hill curve in the geometric-mean expression of the targets, `(lines, mechanisms)`; half at the mean line."""
    n = targets.sum(1)
    relative = (basal - level) @ targets.T / n
    return 1.0 / (1.0 + np.exp(-RESPONSE_STEEPNESS * relative))


def _shuffle(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The permutation without fixed points that correlates least with `values`; `rng` decides between equals.

    A random one would correlate negatively on average (-1 / (lines - 1)), and a model could read that.
    """
    lines = range(values.size)
    orders = [order for order in permutations(lines) if all(order[line] != line for line in lines)]
    orders = rng.permutation(np.array(orders))
    return orders[np.argmin([abs(np.corrcoef(values, values[order])[0, 1]) for order in orders])]


def _chemistry(rng: np.random.Generator, drugs: pd.DataFrame, mechanisms: list[str]):
    """Draw mechanism weights `(drugs, mechanisms)` and the dose-response of every drug."""
    n, m = len(drugs), len(mechanisms)
    of_class = np.eye(m - 1, m)
    second = (np.arange(m - 1) + rng.integers(1, m - 1, m - 1)) % (m - 1)
    of_class[np.arange(m - 1), second] = SIDE_WEIGHT
    of_class[:, -1] = SHARED_WEIGHT
    bits = morgan(drugs["smiles"]).astype(float)
    bits /= np.linalg.norm(bits, axis=1, keepdims=True)
    chemistry = CHEMISTRY_SD * bits @ rng.normal(size=(bits.shape[1], m))
    classes = pd.Categorical(drugs["mechanism"], categories=mechanisms[:-1]).codes.astype(int)
    cliff = np.zeros(n, dtype=bool)
    cliff[rng.choice(n, max(1, round(CLIFF_SHARE * n)), replace=False)] = True
    moved = (classes + rng.integers(1, m - 1, n)) % (m - 1)
    weights = of_class[np.where(cliff, moved, classes)] + chemistry
    toxic = drugs["mechanism"].isin(TOXIC).to_numpy()
    truth = drugs.assign(
        efficacy=np.exp(rng.normal(0.0, EFFICACY_SD, n)),
        ec50_um=10.0 ** rng.normal(EC50_LOG10, EC50_SD, n),
        slope=rng.uniform(*SLOPES, n),
        toxicity=np.where(toxic, rng.uniform(*TOXICITY, n), 0.0),
        activity_cliff=cliff,
    )
    return weights, truth
