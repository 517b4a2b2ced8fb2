"""The randomness trap: what changes when the same cells are embedded twice, and how far an embedding moves."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from IPython.display import HTML

from perturbook.models.backbones.seed_spread import seed_spread
from perturbook.models.scgpt import ScGPT
from perturbook.models.scgpt.reference_draws import Ragged
from perturbook.pages.foundations import label
from perturbook.pages.foundations_draws import BATCH, bins_of, our_tokens, reference_tokens, vectors
from perturbook.pages.html_table import table

REFERENCE, OURS, NO_DRAWS = "reference", "ours", "ours, ties to the upper edge"


def richest(cells: AnnData) -> str:
    """Name of the cell with the most genes expressed, the first of several."""
    return str(cells.obs_names[np.diff(sp.csr_matrix(cells.X).indptr).argmax()])


def one_cell(cells: AnnData, model: ScGPT, cell: str, seeds: range, most: int = 24) -> pd.DataFrame:
    """Bins of some genes of one cell under several seeds of the reference scheme, and under ours in several runs.

    The genes are half of them those of most counts, half of them spread over those of fewest, usually one.

    Returns:
        Columns gene, count, scheme, run, bin. A run of ours is the same seed with another set of cells around the cell.
    """
    row = cells.obs_names.get_loc(cell)
    counts = pd.Series(sp.csr_matrix(cells.X)[row].toarray().ravel(), index=cells.var_names)
    counts = counts[model.vocabulary.ids_of(cells.var_names) >= 0]
    highest = counts.sort_values(ascending=False, kind="stable").index[: most // 2]
    lowest = counts.index[counts == counts[counts > 0].min()]
    spread = lowest[np.linspace(0, len(lowest) - 1, most - most // 2).round().astype(int)]
    genes = list(dict.fromkeys([*highest, *spread]))
    token, frames = model.vocabulary.ids_of(genes), []
    for run in seeds:
        drawn = {REFERENCE: bins_of(reference_tokens(cells, model, run), len(model.vocabulary))[row]}
        around = cells[np.sort(np.random.default_rng(run).permutation(cells.n_obs)[: cells.n_obs // 2])]
        around = (
            cells[[row]] if run == seeds[0] else cells[[cell, *around.obs_names.drop(cell, errors="ignore")]]
        )
        drawn[OURS] = bins_of(our_tokens(around, model), len(model.vocabulary))[0]
        frames += [
            pd.DataFrame(
                {"gene": genes, "count": counts[genes].astype(int).to_numpy(), "bin": bins[token].astype(int)}
            ).assign(scheme=scheme, run=str(run + 1))
            for scheme, bins in drawn.items()
        ]
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class Run:
    """The same cells embedded once."""

    scheme: str
    changed: str
    """What differs from the first run of the scheme; empty for the first."""
    bins: np.ndarray
    """`(cells, tokens)`, -1 where a cell has no such token."""
    vectors: np.ndarray
    """Unit vectors, `(cells, width)`."""


def runs(cells: AnnData, model: ScGPT, seeds: range) -> list[Run]:
    """The cells under each scheme: a first run, then others where something is changed that should not matter, or the seed."""
    order = np.random.default_rng(seeds[0]).permutation(cells.n_obs)
    shuffled, back = cells[order].copy(), np.argsort(order)

    def drawn() -> Iterator[tuple[str, str, Ragged]]:
        yield REFERENCE, "", reference_tokens(cells, model, seeds[0])
        yield REFERENCE, "batch size", reference_tokens(cells, model, seeds[0], batch=2 * BATCH)
        yield REFERENCE, "workers", reference_tokens(cells, model, seeds[0], workers=1)
        tokens = reference_tokens(shuffled, model, seeds[0])
        yield REFERENCE, "order of cells", [tokens[i] for i in back]
        for seed in seeds[1:]:
            yield REFERENCE, "seed", reference_tokens(cells, model, seed)
        yield OURS, "", our_tokens(cells, model, seeds[0])
        yield (
            OURS,
            "cells around it",
            [our_tokens(cells[[i]], model, seeds[0])[0] for i in range(cells.n_obs)],
        )
        tokens = our_tokens(shuffled, model, seeds[0])
        yield OURS, "order of cells", [tokens[i] for i in back]
        for seed in seeds[1:]:
            yield OURS, "seed", our_tokens(cells, model, seed)
        yield NO_DRAWS, "", our_tokens(cells, model, seeds[0], "one")
        yield NO_DRAWS, "seed", our_tokens(cells, model, seeds[1], "one")

    width = len(model.vocabulary)
    return [
        Run(scheme, changed, bins_of(tokens, width), vectors(model, tokens))
        for scheme, changed, tokens in drawn()
    ]


def changes(cells: AnnData, made: list[Run]) -> pd.DataFrame:
    """How far every run is from the first of its scheme, one row per cell and run.

    Returns:
        Columns scheme, changed, cell, distance (between unit vectors) and moved (share of values in another bin).
    """
    first, frames = {run.scheme: run for run in made if not run.changed}, []
    for run in made:
        if run.changed:
            base = first[run.scheme]
            there = base.bins >= 0
            frame = {
                "scheme": run.scheme,
                "changed": run.changed,
                "cell": cells.obs_names,
                "distance": np.linalg.norm((run.vectors - base.vectors).astype(float), axis=1),
                "moved": ((base.bins != run.bins) & there).sum(axis=1) / there.sum(axis=1),
            }
            frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True)


def spread_table(cells: AnnData, made: list[Run]) -> HTML:
    """Cosine of each cell with itself over all pairs of seeds, per scheme; see `seed_spread`."""
    rows = []
    for scheme in dict.fromkeys(run.scheme for run in made):
        own = [run.vectors for run in made if run.scheme == scheme and run.changed in ("", "seed")]
        found = seed_spread(own.__getitem__, cells.obs_names, range(len(own)))
        rows.append(
            {
                "Scheme": scheme,
                "Seeds": len(own),
                "Mean cosine": f"{found['mean'].mean():.5f}",
                "Least of any cell and pair": f"{found['least'].min():.5f}",
            }
        )
    return HTML(table(rows, f"Each of {cells.n_obs} cells with itself under other seeds"))


def between_cells(cells: AnnData, model: ScGPT, seed: int = 0) -> float:
    """Median distance between the unit vectors of two cells of one type and condition, each pair once; NaN without such a pair."""
    points, group = vectors(model, our_tokens(cells, model, seed)), label(cells.obs)
    first, second = np.triu_indices(len(points), 1)
    same = group[first] == group[second]
    between = np.linalg.norm(points[first[same]] - points[second[same]], axis=1)
    return float(np.median(between)) if len(between) else float("nan")


def change_table(found: pd.DataFrame) -> HTML:
    """Medians over cells and repeats of what `changes` found."""
    rows = [
        {
            "Scheme": scheme,
            "What was changed": changed,
            "Values in another bin": f"{100 * rows['moved'].median():.0f} %",
            "Distance of the embeddings": f"{rows['distance'].median():.2g}",
            "Cosine": f"{1 - rows['distance'].median() ** 2 / 2:.5f}",
        }
        for (scheme, changed), rows in found.groupby(["scheme", "changed"], sort=False)
    ]
    return HTML(table(rows, "The same cells twice: medians over cells"))


def mean_range(found: pd.DataFrame, scheme: str) -> float:
    """Highest minus lowest bin over runs, the mean over the genes of fewest counts, from `one_cell`."""
    own = found[(found["scheme"] == scheme) & (found["count"] == found["count"].min())].groupby("gene")["bin"]
    return float((own.max() - own.min()).mean())


def facts(found: pd.DataFrame, between: float) -> dict[str, float]:
    """The numbers of the page's sentences, from `changes` and `between_cells`."""
    middle = found.groupby(["scheme", "changed"])[["distance", "moved"]].median()
    same = found[(found["scheme"] == OURS) & (found["changed"] != "seed")]
    numbers = {
        "between": between,
        "reference_batch": middle["distance"][REFERENCE, "batch size"],
        "reference_order": middle["distance"][REFERENCE, "order of cells"],
        "reference_seed": middle["distance"][REFERENCE, "seed"],
        "reference_share": 100 * middle["distance"][REFERENCE, "seed"] / between,
        "reference_batch_moved": 100 * middle["moved"][REFERENCE, "batch size"],
        "reference_order_moved": 100 * middle["moved"][REFERENCE, "order of cells"],
        "ours_seed": middle["distance"][OURS, "seed"],
        "ours_most": same["distance"].max(),
        "ours_moved": 100 * same["moved"].max(),
    }
    return {name: float(value) for name, value in numbers.items()}
