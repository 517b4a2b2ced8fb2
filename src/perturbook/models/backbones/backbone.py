"""The one interface of everything that turns a cell into a vector, and the registry of what the project offers.

A backbone never looks at more than one cell to embed it: row i of the result depends on cell i alone, whatever else
stands in the block. `embed` relies on that to read, check, cut and resume in blocks. Source: our choice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from anndata import AnnData

from perturbook.data.findings import three
from perturbook.errors import InputError
from perturbook.registry import Registry

BACKBONES: Registry = Registry("backbone")
"""Name -> `Recipe`; filled by `recipe` in the files of this package."""


class Backbone(Protocol):
    """Turns cells into vectors. What it may have besides: `match` and `seeded`, see the functions below, and `settings`,
    a dictionary of what else decides an embedding, such as seed and rules, for the report."""

    name: str
    """As in the registry, such as "pca"."""
    title: str
    """Name in tables and charts."""
    width: int
    """Numbers per cell."""
    key: str
    """Where the vectors are stored in `obsm`, such as "X_pca"."""
    identity: str
    """sha256 of everything that decides an embedding beside the cells: weights, genes, seed, options."""
    genes: Sequence[str]
    """Symbols that it reads. Without a method `match` every one of them must be there."""

    def encode(self, cells: AnnData) -> np.ndarray:
        """Embed a block of cells in memory -> `(cells, width)` float32.

        `cells` has unique obs_names, symbols as var_names, `X` (cells, genes) CSR, finite and not negative, and, where
        the data set declares them, `uns["value_kind"]` and `obs["n_counts"]`. Raises InputError for what it cannot take.
        """


@dataclass(frozen=True)
class Recipe:
    """How a backbone of the registry is made."""

    name: str
    title: str
    make: Callable[..., Backbone]
    """`make(cells, seed=0, **options)`: where `fitted`, cells like those of `encode` to fit on; else None is as good."""
    fitted: bool
    """Whether it is fitted on the cells given; the others are frozen and see no cell before they embed it."""
    passes_on_to: Callable | None = None
    """What takes the options that `make` only passes on, so that an unknown one is refused by name."""


def recipe(
    name: str, *, title: str, fitted: bool, passes_on_to: Callable | None = None
) -> Callable[[Callable], Callable]:
    """Decorator: enter `make(cells, seed=0, **options) -> Backbone` into `BACKBONES` under `name`."""

    def enter(make: Callable) -> Callable:
        BACKBONES.add(name, Recipe(name, title, make, fitted, passes_on_to))
        return make

    return enter


def known_genes(backbone: Backbone, symbols: Sequence[str]) -> np.ndarray:
    """Which of `symbols` the backbone reads, `(genes,)` bool.

    A backbone that can do without some of its genes has a method `match(symbols) -> (genes,) bool` of its own, which
    raises InputError where too few match.

    Raises:
        InputError: a gene of a backbone of fixed genes is missing, or too few genes match.
    """
    symbols = np.asarray(symbols, dtype=object)
    if hasattr(backbone, "match"):
        return backbone.match(symbols)
    if missing := sorted(set(backbone.genes) - set(symbols)):
        raise InputError(
            f"{len(missing):,} of the {len(backbone.genes):,} genes of {backbone.title} are missing: {three(missing)}. "
            "Give the cells with all genes it was fitted on."
        )
    wanted = set(backbone.genes)
    return np.array([symbol in wanted for symbol in symbols], dtype=bool)


def with_seed(backbone: Any, seed: int | None) -> Any:
    """The backbone under another seed, for one that draws while it embeds: its method `seeded(seed)`; else itself."""
    return backbone.seeded(seed) if seed is not None and hasattr(backbone, "seeded") else backbone
