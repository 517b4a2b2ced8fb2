"""`random_cells`: new cells of conditions that training has seen. The easiest question, and not the one users have."""

from collections.abc import Sequence

import numpy as np

from perturbook.splits.setting import Drawn, Screen, setting

TEST_SHARE, VALID_SHARE = 0.2, 0.1  # our choice


def draw_cells(
    screen: Screen,
    among: np.ndarray,
    rng: np.random.Generator,
    shares: Sequence[float],
    most: int | None = None,
) -> np.ndarray:
    """Draw from every condition of the cells `among` a share for each part, at most `most` cells; `(parts, cells)`."""
    drawn = np.zeros((len(shares), len(screen.obs)), bool)
    where = np.flatnonzero(among)
    for _, rows in sorted(screen.obs.iloc[where].groupby("key").indices.items()):
        left = where[rng.permutation(rows)]
        for part, share in zip(drawn, shares, strict=True):
            n = min(round(share * len(rows)), most or len(rows))
            part[left[:n]], left = True, left[n:]
    return drawn


@setting(
    "random_cells",
    title="New cells of known conditions",
    question="Can the model describe other cells of a condition it was trained on?",
    takes=(),
    forbidden=lambda screen, split: screen.obs.index.isin(split.test),
    shares_conditions=lambda split: True,
)
def draw(screen: Screen, rng: np.random.Generator) -> Drawn:
    """Set aside a fifth of the treated cells of every condition, and a tenth for validation.

    Source: our choice; the usual first split of the literature.
    """
    test, valid = draw_cells(screen, screen.treated, rng, (TEST_SHARE, VALID_SHARE))
    return Drawn(test, valid, np.zeros_like(test), (), {})
