"""What the pages of the part Foundations share: their cells, a few of them drawn, and what stands around the content."""

import numpy as np
import pandas as pd
from anndata import AnnData
from IPython.display import HTML

from perturbook import data
from perturbook.data.schema import CONTROL
from perturbook.evaluation.manifest import manifest
from perturbook.models.shipped import pretrained
from perturbook.pages import frame
from perturbook.pages.html_table import items
from perturbook.pages.table import ROOT
from perturbook.splits.pretrained import refuse_pretrained

SUBSTITUTE = "simulated-drugs"
"""Simulated cells that stand in where a data set cannot be had."""


def cells_of(name: str) -> AnnData:
    """The cells of a data set of the registry, or simulated cells where it cannot be had; see `banner`."""
    if name != SUBSTITUTE and data.available(name):
        return data.load(name)
    cells = data.load(SUBSTITUTE, size="small", expectation=False)
    treated = cells.obs[~cells.obs["is_control"].to_numpy(bool)]
    keep = treated["dose_um"] == treated["dose_um"].max()
    drug = treated.loc[keep, "perturbation"].astype(str).sort_values().iloc[0]
    rows = cells.obs["is_control"].to_numpy(bool) | (
        (cells.obs["perturbation"] == drug) & (cells.obs["dose_um"] == treated["dose_um"].max())
    ).to_numpy(bool)
    return cells[rows].copy()


def banner(*parts: AnnData, asked: tuple[str, ...]) -> HTML:
    """Say first what a reader must know: that cells are simulated, and that they stand in for a data set."""
    here = [str(cells.obs["dataset"].iloc[0]) for cells in parts]
    simulated = any(data.DATASETS[name].synthetic for name in here)
    instead = [name for name, found in zip(asked, here, strict=True) if name != found]
    said = f"Simulated cells stand in for {' and '.join(instead)}." if instead else ""
    return frame.notices(simulated, said)


def label(obs: pd.DataFrame) -> np.ndarray:
    """Type and condition of a cell as a reader sees them, such as "CD14+Mono, control", `(cells,)`."""
    return (obs["context"].astype(str) + ", " + obs["perturbation"].astype(str)).to_numpy()


def typical(cells: AnnData) -> AnnData:
    """One cell of each type and condition: that of median depth, the lower one of two, ties by name."""
    groups = label(cells.obs)
    order = np.lexsort((cells.obs_names.to_numpy(str), cells.obs["n_counts"].to_numpy()))
    rows = [order[groups[order] == group] for group in np.unique(groups)]
    return cells[[row[(len(row) - 1) // 2] for row in rows]].copy()


def sample(cells: AnnData, most: int, seed: int) -> AnnData:
    """Up to `most` cells of each type and condition, drawn by the seed from the sorted names; all where `most` is 0."""
    groups, rng, rows = label(cells.obs), np.random.default_rng(seed), []
    for group in np.unique(groups):
        names = np.sort(cells.obs_names[groups == group].to_numpy(str))
        rows.append(np.sort(rng.permutation(names)[: most or len(names)]))
    return cells[np.concatenate(rows)].copy()


def conditions(cells: AnnData) -> list[str]:
    """Names of the conditions, control first."""
    return sorted(cells.obs["perturbation"].astype(str).unique(), key=lambda name: (name != CONTROL, name))


def audit(*parts: AnnData) -> HTML:
    """The check that the shipped checkpoint has seen none of these cells; raises LeakError where it has."""
    return HTML("".join(items(refuse_pretrained(cells, pretrained())) for cells in parts))


def provenance(page: str, *parts: AnnData, **given: int | str | bool | list[str]) -> HTML:
    """What the page was made of, and the command that repeats it."""
    names = dict.fromkeys(str(cells.obs["dataset"].iloc[0]) for cells in parts)
    kinds = dict.fromkeys(str(cells.uns["value_kind"]) for cells in parts)
    about = manifest(
        ROOT, page=page, tier="smoke", parameters=given, data={name: data.checksum(name) for name in names}
    )
    return frame.footer(about, "; ".join(kinds))
