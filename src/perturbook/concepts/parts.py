"""Training, validation and test cells, where no donor can be held out. Source: `concepts.md` section 7; the shares are our choice."""

import numpy as np

SHARES = {"train": 0.6, "valid": 0.2, "test": 0.2}


def parts(groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """train, valid or test of each cell `(cells,)`, drawn in the shares of `SHARES` within each group `(cells,)`."""
    rng, part = np.random.default_rng(seed), np.empty(len(groups), "U5")
    for group in np.unique(groups):
        own = rng.permutation(np.flatnonzero(groups == group))
        cuts = np.round(np.cumsum(list(SHARES.values())) * len(own)).astype(int)
        for name, rows in zip(SHARES, np.split(own, cuts[:-1]), strict=True):
            part[rows] = name
    return part
