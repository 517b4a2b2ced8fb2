"""Batches as a pure function of seed and epoch, so that a run can go on from any of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perturbook.errors import ConfigError

Batches = Callable[[int, int], Any]
"""`batches(seed, epoch)` -> the batches of that epoch: a sequence whose items may be made when asked for, or any iterable."""


@dataclass(frozen=True)
class Made(Sequence):
    """A sequence of batches, each made from its plan when it is asked for."""

    plans: Sequence
    """What each batch is made from, such as an array of rows."""
    make: Callable[[Any], Any]
    """From a plan to a batch."""

    def __len__(self) -> int:
        return len(self.plans)

    def __getitem__(self, number: int) -> Any:
        return self.make(self.plans[number])


@dataclass(frozen=True)
class Shuffled:
    """Batches of a data set of `n` items, in a new order in every epoch. Source: our choice.

    Calling it with (seed, epoch) gives that epoch's batches; each is made by `make` from its item numbers `(size,)`.
    """

    n: int
    """Items."""
    size: int
    """Items per batch; the last batch of an epoch may be shorter."""
    make: Callable[[np.ndarray], Any]
    """From item numbers to a batch."""

    def __post_init__(self):
        """Raise ConfigError without items, or for a batch size below 1."""
        if self.n < 1 or self.size < 1:
            raise ConfigError(f"{self.n} items in batches of {self.size}; both must be 1 or more.")

    def __call__(self, seed: int, epoch: int) -> Made:
        """Return the batches of `epoch`."""
        order = np.random.default_rng([seed, epoch]).permutation(self.n)
        return Made([order[at : at + self.size] for at in range(0, self.n, self.size)], self.make)


class Stream:
    """Batches of all epochs in one row, asked for by a number that never falls."""

    def __init__(self, batches: Batches, seed: int, epoch: int = 0, first: int = 0):
        """Begin at `epoch`, whose first batch has the number `first`."""
        self.batches, self.seed = batches, seed
        self.epoch, self.first = epoch, first
        self.current = self._epoch(epoch)

    def _epoch(self, epoch: int) -> Sequence:
        made = self.batches(self.seed, epoch)
        made = list(made) if isinstance(made, Iterator) or not hasattr(made, "__getitem__") else made
        if len(made) == 0:
            raise ConfigError(f"Epoch {epoch} has no batch; give batches(seed, epoch) at least one item.")
        return made

    def seek(self, number: int) -> None:
        """Move to the epoch that holds batch `number`."""
        while number >= self.first + len(self.current):
            self.first += len(self.current)
            self.epoch += 1
            self.current = self._epoch(self.epoch)

    def __getitem__(self, number: int) -> Any:
        self.seek(number)
        return self.current[number - self.first]
