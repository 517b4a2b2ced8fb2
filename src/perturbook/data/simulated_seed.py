"""The seed of a simulator: the one number that names a world."""

import numpy as np

from perturbook.errors import ConfigError


def seed_sequence(name: str, seed: int) -> np.random.SeedSequence:
    """Return the source of all streams of the simulator `name`; raises ConfigError unless `seed` is a whole number from 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"{name}: seed is {seed!r}; give a whole number from 0.")
    return np.random.SeedSequence(int(seed))
