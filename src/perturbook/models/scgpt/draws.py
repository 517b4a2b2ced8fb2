"""Random numbers that belong to a gene of a cell: a hash of (seed, purpose, cell, token), and no state anywhere.

The number of token t in a cell is the (t + 1)-th output of SplitMix64 (Steele, Lea, Flood 2014, doi
10.1145/2660193.2660195) started at a state made of the seed, the purpose and the cell's name. SplitMix64 counts and
mixes, so that any output is had without those before it. Hence a draw depends neither on the order of genes or cells, nor
on which others are there. Source: `scgpt.md` section 6.2; the hash is our choice.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

from perturbook.errors import ConfigError

GOLDEN, MIX1, MIX2 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""The three constants of SplitMix64."""


def cell_keys(names: Iterable[str]) -> np.ndarray:
    """A stable 64-bit hash of each cell's obs name, `(cells,)` uint64: BLAKE2b of its UTF-8 bytes."""
    return np.array([_hash(str(name)) for name in names], dtype=np.uint64)


def uniforms(seed: int, purpose: str, keys: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Numbers uniform on [0, 1) with 53 random bits, float64, in the broadcast shape of `keys` and `tokens`.

    Args:
        seed: the user's seed, a whole number.
        purpose: name of the stream, such as "ties", "genes" or "mask"; streams are independent of each other.
        keys: from `cell_keys`.
        tokens: token ids, not negative.

    Raises:
        ConfigError: the seed is not a whole number.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise ConfigError(f"seed is {seed!r}; expected a whole number.")
    stream = np.uint64(_hash(f"{int(seed)} {purpose}"))
    count = np.asarray(tokens).astype(np.uint64) + np.uint64(1)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is what the generator is made of
        states = _mix(np.asarray(keys, dtype=np.uint64) ^ stream)
        return (_mix(states + count * GOLDEN) >> np.uint64(11)) * 2.0**-53


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(state: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64: every bit of the state reaches every bit of the result."""
    state = (state ^ (state >> np.uint64(30))) * MIX1
    state = (state ^ (state >> np.uint64(27))) * MIX2
    return state ^ (state >> np.uint64(31))
