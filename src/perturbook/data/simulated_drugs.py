"""`simulated-drugs`: a drug screen shaped like sci-Plex, in which everything is known.

Simulated cells, real molecules: names, structures and mechanism classes are public facts; which genes they move, how
strongly, and in which line is planted. Chemistry is a function of Morgan fingerprints by construction, so results here
never rank molecule encoders.

Source: `simulators.md` sections 1 and 4; the coefficients are our choice.
"""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from perturbook.data.dataset import dataset
from perturbook.data.fetch import cache_folder, checksum
from perturbook.data.molecules import perturbation_table
from perturbook.data.schema import CONTROL, assemble, condition_keys, normalise
from perturbook.data.simulated_counts import CellModel, draw_cell_model, draw_counts, saturate
from perturbook.data.simulated_expectation import expected_lognorm, kept
from perturbook.data.simulated_programs import SIZES, Size, World, draw_world
from perturbook.errors import ConfigError

NAME = "simulated-drugs"


@dataset(
    NAME,
    title="Simulated drug screen: 6 lines, 64 real molecules, 4 doses (32,520 cells, 600 genes)",
    synthetic=True,
)
def prepare(
    *, seed: int = 0, size: str = "default", shuffle_responsiveness: bool = False, expectation: bool = True
) -> AnnData:
    """Simulate the screen, raw counts in the canonical schema with the truth beside them.

    `uns["truth"]` is a dictionary; its arrays and what their axes are named by:

    - `programs` `(mechanisms, genes)`: signed log effect at full response; `target_genes`, boolean, same shape;
      `mechanisms` names the rows, the last being the response that all drugs share.
    - `drug_weights` `(drugs, mechanisms)`; `hill`, a table over drugs: `efficacy`, `ec50_um`, `slope`, `toxicity` (drop of
      log library size at full response), `activity_cliff` (true where the structure rule is broken).
    - `responsiveness` `(lines, mechanisms)`; `contexts` names the rows; `basal` `(lines, genes)`, mean log expression.
    - `expected_lognorm` `(conditions, genes)`, float32, from 400 fresh cells each; `conditions` holds the keys of its rows.

    Args:
        seed: the world and its cells; another seed is another world.
        size: `default`, or `small` for tests (3 lines, 120 genes, 16 drugs, 1 and 10 uM).
        shuffle_responsiveness: permute responsiveness across lines, per mechanism and without fixed points, so that
            control cells no longer tell how a line will respond.
        expectation: also make `expected_lognorm`, which takes longer than the cells and is kept in the cache folder.

    Raises:
        ConfigError: unknown size, or a seed that is no whole number from 0.
    """
    if size not in SIZES:
        raise ConfigError(f"{NAME} has no size {size!r}. Allowed: {', '.join(SIZES)}.")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"{NAME}: seed is {seed!r}; give a whole number from 0.")
    dims = SIZES[size]
    for_world, for_model, for_cells, for_expectation = np.random.SeedSequence(int(seed)).spawn(4)
    world = draw_world(for_world, dims, shuffle_responsiveness)
    model = draw_cell_model(np.random.default_rng(for_model), dims.genes)
    conditions, log_mean, library = _conditions(world, dims)
    adata = _cells(for_cells, world, model, conditions, log_mean, library)
    adata.uns["truth"] = _truth(world, conditions)
    if expectation:
        shuffled = "-shuffled" if shuffle_responsiveness else ""
        path = cache_folder() / f"{NAME}-{size}-{seed}{shuffled}-{checksum(NAME)[:16]}.npz"
        adata.uns["truth"]["expected_lognorm"] = kept(
            path, lambda: expected_lognorm(for_expectation, model, log_mean, library)
        )
    return adata


def _conditions(world: World, dims: Size) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """List all conditions, with their mean log expression `(conditions, genes)` and factor on library size."""
    rows, log_mean, library = [], [], []
    for context, basal, responsiveness in zip(world.contexts, world.basal, world.responsiveness, strict=True):
        rows.append((context, CONTROL, 0.0, dims.vehicle))
        log_mean.append(basal)
        library.append(1.0)
        full = (world.weights * responsiveness) @ world.programs
        for effect, drug in zip(full, world.drugs.itertuples(), strict=True):
            for dose in dims.doses:
                share = dose**drug.slope / (dose**drug.slope + drug.ec50_um**drug.slope)  # the Hill curve
                rows.append((context, drug.Index, dose, dims.cells))
                log_mean.append(basal + saturate(share * drug.efficacy * effect))
                library.append(np.exp(-drug.toxicity * share))
    columns = ["context", "perturbation", "dose_um", "cells"]
    return pd.DataFrame(rows, columns=columns), np.array(log_mean), np.array(library)


def _cells(seed, world: World, model: CellModel, conditions: pd.DataFrame, log_mean, library) -> AnnData:
    """Draw the cells, one line at a time to keep memory low."""
    blocks: list[sp.csr_matrix] = []
    lognorm: list[sp.csr_matrix] = []
    n_counts: list[np.ndarray] = []
    for child, (_, rows) in zip(
        seed.spawn(len(world.contexts)), conditions.groupby("context", sort=False), strict=True
    ):
        at = rows.index.to_numpy()
        rng = np.random.default_rng(child)
        block = sp.csr_matrix(draw_counts(rng, model, log_mean[at], library[at], rows["cells"].to_numpy()))
        n_counts.append(block.sum(axis=1, dtype=float).A1)
        blocks.append(block)
        lognorm.append(normalise(block, n_counts[-1]))
    obs = conditions.loc[conditions.index.repeat(conditions["cells"]), ["context", "perturbation", "dose_um"]]
    number = np.concatenate([np.arange(n) for n in conditions["cells"]])
    obs.index = pd.Index(
        [f"{key}|{i:03d}" for key, i in zip(condition_keys(obs), number, strict=True)], name="cell"
    )
    obs["kind"], obs["n_counts"] = "drug", np.concatenate(n_counts)
    return assemble(
        NAME,
        _stack(blocks),
        obs,
        world.genes,
        value_kind="counts",
        recovered="Simulated cells, not measured; the molecules are real, their effects are planted.",
        lognorm=_stack(lognorm),
        perturbations=perturbation_table(world.drugs.index, world.drugs["smiles"], world.drugs["mechanism"]),
    )


def _stack(blocks: list[sp.csr_matrix]) -> sp.csr_matrix:
    """Stack and empty `blocks`, so that they and the stack do not both stay in memory."""
    stacked = sp.vstack(blocks, format="csr")
    blocks.clear()
    return stacked


def _truth(world: World, conditions: pd.DataFrame) -> dict:
    return {
        "contexts": np.array(world.contexts, dtype=object),
        "mechanisms": np.array(world.mechanisms, dtype=object),
        "conditions": condition_keys(conditions),
        "basal": world.basal,
        "programs": world.programs,
        "target_genes": world.targets,
        "drug_weights": world.weights,
        "hill": world.drugs[["efficacy", "ec50_um", "slope", "toxicity", "activity_cliff"]],
        "responsiveness": world.responsiveness,
    }
