"""Leaks of the Settings chapter: put into sound splits on purpose, each to be caught by the audit."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from anndata import AnnData

from perturbook import splits
from perturbook.data.gene_labels import genes_of
from perturbook.errors import LeakError, PerturbookError
from perturbook.splits import Split

PutIn = tuple[str, str, AnnData, Split, dict | None]
"""Setting, what was done, and the cells, the split and the fitted things that the audit is given."""


def caught(leaks: Iterable[PutIn]) -> Iterator[tuple[str, str, str]]:
    """Audit leaks that were put in and yield of each the setting, what was done, and the message that stops the page.

    Raises:
        PerturbookError: the audit let a leak pass.
    """
    for setting, leak, changed, split, fitted in leaks:
        try:
            splits.audit(changed, split, fitted)
        except LeakError as found:
            yield setting, leak, str(found)
        else:
            raise PerturbookError(f"The audit let a leak pass: {leak} ({setting}).")


def of_drugs(cells: AnnData, made: dict[str, Split]) -> Iterator[PutIn]:
    """Put leaks into sound splits of a drug screen, made by `unseen.examples`, one after the other."""
    drug, zero = made["unseen_drug"], made["zero_shot_context, mode B"]
    pair, plain = made["unseen_combination"], made["random_cells"]
    one = drug.test[0]
    yield (
        "random_cells",
        "one test cell is also in training",
        cells,
        replace(plain, train=np.append(plain.train, plain.test[0])),
        None,
    )
    yield (
        "unseen_drug",
        "a cell of a held-out drug moves from the test into training",
        cells,
        replace(drug, train=np.append(drug.train, one), test=drug.test[1:]),
        None,
    )
    yield (
        "unseen_combination",
        "genes were chosen on all cells",
        cells,
        pair,
        {"gene panel": cells.obs_names},
    )
    yield (
        "zero_shot_context, mode B",
        "control cells of the new line are in training, as in mode A",
        cells,
        replace(zero, train=np.append(zero.train, zero.query)),
        None,
    )
    yield (
        "zero_shot_context, mode B",
        "a treated cell of the new line is shown at prediction time",
        cells,
        replace(zero, query=np.append(zero.query, zero.test[0])),
        None,
    )
    yield (
        "unseen_drug",
        "a training cell is a copy of a test cell under another name",
        _with_copy(cells, one, drug.train[0]),
        drug,
        None,
    )


def of_genes(cells: AnnData, made: dict[str, Split]) -> Iterator[PutIn]:
    """Put leaks into sound splits of a gene screen, made by `unseen_genes.examples`, one after the other."""
    single, none = made["unseen_single"], made["double_seen0"]
    both, half = made["double_seen2"], made["additive_split"]
    label = cells.obs["perturbation"].astype(str)

    def holding(gene: str, n: int) -> np.ndarray:
        """Cells of the conditions of `n` genes that hold this gene."""
        return cells.obs_names[[gene in g and len(g) == n for g in map(genes_of, label)]].to_numpy(str)

    yield (
        "unseen_single",
        "doubles that contain a held-out gene stay in training",
        cells,
        replace(single, train=np.union1d(single.train, holding(single.held_out[0], 2))),
        None,
    )
    yield (
        "double_seen2",
        "the model is chosen on some cells of the doubles asked about",
        cells,
        replace(both, valid=np.union1d(both.valid, both.test[::2]), test=both.test[1::2]),
        None,
    )
    yield (
        "double_seen0",
        "the single of a new gene is used for validation",
        cells,
        replace(none, valid=np.union1d(none.valid, holding(none.options["unseen_genes"][0], 1))),
        None,
    )
    double = half.held_out[0]
    moved = half.test[label[half.test] == double][::2]
    yield (
        "additive_split",
        "half of the cells of a double asked about are in training, labelled with its genes in the other order",
        _relabelled(cells, moved, "+".join(reversed(genes_of(double)))),
        replace(half, train=np.union1d(half.train, moved), test=np.setdiff1d(half.test, moved)),
        None,
    )


def _with_copy(cells: AnnData, of: str, name: str) -> AnnData:
    """The cells, with the values of cell `of` put in the place of cell `name`."""
    rows = np.arange(cells.n_obs)
    rows[cells.obs_names.get_loc(name)] = cells.obs_names.get_loc(of)
    layers = {layer: values[rows] for layer, values in cells.layers.items()}
    return AnnData(cells.X[rows], obs=cells.obs, var=cells.var, layers=layers, uns=cells.uns)


def _relabelled(cells: AnnData, names: np.ndarray, label: str) -> AnnData:
    """The cells, with those named carrying another perturbation label."""
    labels = cells.obs["perturbation"].astype(str).where(~cells.obs_names.isin(names), label)
    return AnnData(
        cells.X, obs=cells.obs.assign(perturbation=labels), var=cells.var, layers=cells.layers, uns=cells.uns
    )
