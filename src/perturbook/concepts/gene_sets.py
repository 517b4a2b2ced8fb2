"""A library of gene sets on a universe: the sets that are tested, chosen by nothing that depends on a score.

Source: `concepts.md` section 6.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from perturbook import data
from perturbook.errors import ConfigError, InputError

LEAST, MOST = 10, 500
"""Genes of a tested set that are in the universe."""
LIKE = 0.7
"""Jaccard index of two sets of one library above which the smaller one is not tested."""


@dataclass(frozen=True)
class Library:
    """Named gene sets, and the checksum of the file they came from."""

    name: str
    checksum: str
    """sha256."""
    sets: Mapping[str, Sequence[str]]

    @classmethod
    def load(cls, name: str) -> "Library":
        """A registered library such as `geneset-hallmark`; raises ConfigError for another data set, DataUnavailable."""
        sets = data.load(name)
        if not isinstance(sets, dict):
            raise ConfigError(f"{name} holds no gene sets; take geneset-hallmark or geneset-go-bp.")
        return cls(name, data.checksum(name), sets)


@dataclass(frozen=True)
class GeneSets:
    """The sets of a library that are tested on one universe, by falling size, then name."""

    library: str
    checksum: str
    universe: tuple[str, ...]
    """Sorted."""
    names: tuple[str, ...]
    members: sp.csr_array
    """`(sets, universe)` of ones."""
    stands_for: Mapping[str, tuple[str, ...]]
    """By tested set, the sets left out because they are nearly the same."""

    @classmethod
    def of(
        cls, library: Library, genes: Iterable[str], least: int = LEAST, most: int = MOST, like: float = LIKE
    ) -> "GeneSets":
        """Intersect a library with the tested genes, keep sets of `least` to `most` genes, and one of those alike.

        Args:
            library: the sets.
            genes: the universe; genes of a set outside it do not count.
            least: genes of a set at least, after the intersection.
            most: genes of a set at most; a set that is the whole universe is never tested.
            like: of two sets with a larger Jaccard index, the larger one is tested, of equal ones the first by name.

        Raises:
            InputError: a gene stands twice, or no set is left.
        """
        universe = sorted(genes := list(genes))
        if len(set(universe)) < len(universe):
            twice = next(one for one, other in zip(universe, universe[1:], strict=False) if one == other)
            raise InputError(f"Gene {twice!r} stands twice in the universe; give each gene one score.")
        at = {gene: place for place, gene in enumerate(universe)}
        found = {name: sorted({at[one] for one in of if one in at}) for name, of in library.sets.items()}
        fit = {name: of for name, of in found.items() if least <= len(of) <= min(most, len(universe) - 1)}
        if not fit:
            raise InputError(
                f"No set of {library.name} has {least} to {most} of the {len(universe):,} genes of the universe; are "
                f"they symbols, as in the library?"
            )
        names = sorted(fit, key=lambda name: (-len(fit[name]), name))
        columns = np.concatenate([fit[name] for name in names])
        starts = np.concatenate([[0], np.cumsum([len(fit[name]) for name in names])])
        every = sp.csr_array((np.ones(len(columns)), columns, starts), shape=(len(names), len(universe)))
        kept, left_out = _collapsed(every, like)
        stands_for = {names[one]: tuple(names[other] for other in left_out[one]) for one in kept}
        chosen = tuple(names[one] for one in kept)
        return cls(library.name, library.checksum, tuple(universe), chosen, every[kept], stands_for)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Genes of each set in the universe, `(sets,)`."""
        return np.diff(self.members.indptr)

    def genes(self, name: str) -> list[str]:
        """Genes of one set in the universe, sorted."""
        row = self.names.index(name)
        return [self.universe[one] for one in self.members[[row]].indices]


def _collapsed(members: sp.csr_array, like: float) -> tuple[list[int], dict[int, list[int]]]:
    """Rows kept, and for each the later rows with a Jaccard index above `like` to it; a row is judged by kept rows alone."""
    shared = (members @ members.T).toarray()
    sizes = shared.diagonal()
    jaccard = shared / (sizes[:, None] + sizes - shared)
    kept: list[int] = []
    left_out: dict[int, list[int]] = {}
    for row in range(len(sizes)):
        same = [one for one in kept if jaccard[row, one] > like]
        if same:
            left_out[same[0]].append(row)
        else:
            kept.append(row)
            left_out[row] = []
    return kept, left_out
