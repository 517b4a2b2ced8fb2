"""`simulated-pairs`: a combinatorial gene screen in which it is known which doubles are additive, and why.

Simulated cells; neither the perturbed genes (`act-101`) nor the measured ones (`sim-001`) are human genes. Each context is
a world of its own: other levels, programs and perturbed genes, the same rule of interaction. So nothing but the rule
carries over from one world to another, and no label occurs in two of them. The perturbed genes themselves are not measured.

Additivity is exact on noise-free log means. On `lognorm` means, zero counts and the fixed total per cell leave a
remainder: in additive doubles about .01 per gene (root mean square), a tenth of a planted interaction and of the noise of
50 cells; in synergistic ones about .04, because what the risen genes gain, all others lose. The oracle knows both.

Source: `simulators.md` sections 3 and 4; the coefficients are our choice.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.dataset import dataset
from perturbook.data.fetch import cache_folder, checksum
from perturbook.data.schema import CONTROL, assemble, condition_keys, normalise
from perturbook.data.simulated_counts import CellModel, draw_cell_model, draw_counts
from perturbook.data.simulated_expectation import expected_lognorm, kept
from perturbook.data.simulated_pairs_world import SIZES, PairWorld, Size, draw_pair_world
from perturbook.data.simulated_seed import seed_sequence
from perturbook.errors import ConfigError

NAME = "simulated-pairs"
MOST_WORLDS = 9  # the first digit of a perturbed gene is its world
REPEATS = 2  # times 400 fresh cells per condition behind `expected_lognorm`: fewer would show beside 50 scored cells


@dataset(
    NAME,
    title="Simulated pairs: 5 worlds of 24 genes, singles and half of the doubles (55,000 cells, 300 genes)",
    synthetic=True,
)
def prepare(
    *, seed: int = 0, worlds: int | None = None, size: str = "default", expectation: bool = True
) -> AnnData:
    """Simulate the screen, raw counts in the canonical schema with the truth beside them.

    A third of the doubles of every world is additive, the others are in equal parts of four classes: buffering,
    dominance, saturation, synergy. Which doubles are for training is left to the split.

    `uns["truth"]` is a dictionary; its arrays and what their axes are named by:

    - `contexts` names the worlds; `basal` `(worlds, genes)`: mean log expression of control cells.
    - `perturbed` names the perturbed genes of all worlds; `programs` `(perturbed, genes)`: signed log effect of each.
    - `doubles`, a table over doubles, index condition key: `context`, `first`, `second` (perturbed genes) and
      `interaction_class`; `interaction` `(doubles, genes)`: log effect minus the sum of the two programs.
    - `log_mean` `(conditions, genes)`: noise-free log means; only differences within a world have a meaning.
    - `expected_lognorm` `(conditions, genes)`, float32, from 800 fresh cells each; `conditions` holds the keys of its rows.

    Args:
        seed: the worlds and their cells; another seed is another set of worlds.
        worlds: how many, 1 to 9; by default 5, of the small size 2. The first ones are the same whatever the number.
        size: `default`, or `small` for tests (120 genes, 12 perturbed genes, fewer cells).
        expectation: also make `expected_lognorm`, which takes longer than the cells and is kept in the cache folder.

    Raises:
        ConfigError: unknown size, an impossible number of worlds, or a seed that is no whole number from 0.
    """
    if size not in SIZES:
        raise ConfigError(f"{NAME} has no size {size!r}. Allowed: {', '.join(SIZES)}.")
    dims = SIZES[size]
    worlds = dims.worlds if worlds is None else worlds
    if worlds not in range(1, MOST_WORLDS + 1):
        raise ConfigError(f"{NAME}: worlds is {worlds!r}; give a whole number from 1 to {MOST_WORLDS}.")
    parts, truths, expected = [], [], []
    for number, child in enumerate(seed_sequence(NAME, seed).spawn(int(worlds)), start=1):
        for_world, for_model, for_cells, for_expectation = child.spawn(4)
        world = draw_pair_world(np.random.default_rng(for_world), dims)
        model = draw_cell_model(np.random.default_rng(for_model), dims.genes)
        conditions, truth = _truth(world, dims, number)
        parts.append(_cells(np.random.default_rng(for_cells), model, conditions, truth["log_mean"]))
        truths.append(truth)
        if expectation:
            path = cache_folder() / f"{NAME}-{size}-{seed}-{number}-{checksum(NAME)[:16]}.npz"
            expected.append(_expectation(path, for_expectation, model, truth["log_mean"]))
    adata = _assemble(parts, dims.genes)
    adata.uns["truth"] = {key: _joined([truth[key] for truth in truths]) for key in truths[0]}
    if expectation:
        adata.uns["truth"]["expected_lognorm"] = np.concatenate(expected)
    return adata


def _truth(world: PairWorld, dims: Size, number: int) -> tuple[pd.DataFrame, dict]:
    """The conditions of one world, and its part of `uns["truth"]`."""
    context = f"world-{number}"
    genes = np.array([f"act-{number}{gene + 1:02d}" for gene in range(dims.perturbed)], dtype=object)
    first, second = genes[world.doubles].T
    conditions = pd.DataFrame({"perturbation": [CONTROL, *genes, *(first + "+" + second)]})
    conditions["context"] = context
    conditions["dose_um"] = [0.0] + [np.nan] * (len(conditions) - 1)
    conditions["cells"] = np.repeat(
        [dims.control, dims.single, dims.double], [1, len(genes), len(world.doubles)]
    )
    keys = condition_keys(conditions)
    doubles = pd.DataFrame(
        {"context": context, "first": first, "second": second, "interaction_class": world.classes},
        index=pd.Index(keys[1 + len(genes) :], name="condition"),
    )
    return conditions, {
        "contexts": np.array([context], dtype=object),
        "basal": world.basal[None],
        "perturbed": genes,
        "programs": world.programs,
        "doubles": doubles,
        "interaction": world.interaction,
        "log_mean": world.log_mean,
        "conditions": keys,
    }


def _joined(parts: list):
    return pd.concat(parts) if isinstance(parts[0], pd.DataFrame) else np.concatenate(parts)


def _cells(rng: np.random.Generator, model: CellModel, conditions: pd.DataFrame, log_mean: np.ndarray):
    """Counts, their log-normalised values and the cell table of one world."""
    n = conditions["cells"].to_numpy()
    counts = sp.csr_matrix(draw_counts(rng, model, log_mean, np.ones(len(n)), n))
    obs = conditions.loc[conditions.index.repeat(n), ["context", "perturbation", "dose_um"]]
    number = np.concatenate([np.arange(each) for each in n])
    obs.index = pd.Index(
        [f"{key}|{i:03d}" for key, i in zip(condition_keys(obs), number, strict=True)], name="cell"
    )
    obs["kind"], obs["n_counts"] = "CRISPRa", counts.sum(axis=1, dtype=float).A1
    return counts, normalise(counts, obs["n_counts"].to_numpy()), obs


def _expectation(path: Path, seed: np.random.SeedSequence, model: CellModel, log_mean: np.ndarray):
    """Expected `lognorm` mean of the conditions of one world, `(conditions, genes)` float32, kept at `path`."""

    def make() -> np.ndarray:
        library = np.ones(len(log_mean))
        made = [expected_lognorm(child, model, log_mean, library) for child in seed.spawn(REPEATS)]
        return np.mean(made, axis=0, dtype=float).astype(np.float32)

    return kept(path, make)


def _assemble(parts: list, genes: int) -> AnnData:
    counts, lognorm, obs = zip(*parts, strict=True)
    return assemble(
        NAME,
        sp.vstack(counts, format="csr"),
        pd.concat(obs),
        [f"sim-{gene + 1:03d}" for gene in range(genes)],
        value_kind="counts",
        recovered="Simulated cells, not measured; programs and interactions are planted.",
        lognorm=sp.vstack(lognorm, format="csr"),
    )
