"""`random_cells`: new cells of conditions that training has seen. The easiest question, and not the one users have."""

import numpy as np

from perturbook.splits.setting import Drawn, Screen, setting

TEST_SHARE, VALID_SHARE = 0.2, 0.1  # our choice


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
    test, valid = np.zeros((2, len(screen.obs)), bool)
    where = np.flatnonzero(screen.treated)
    for _, rows in sorted(screen.obs.iloc[where].groupby("key").indices.items()):
        shuffled = where[rng.permutation(rows)]
        n_test, n_valid = round(TEST_SHARE * len(rows)), round(VALID_SHARE * len(rows))
        test[shuffled[:n_test]] = True
        valid[shuffled[n_test : n_test + n_valid]] = True
    return Drawn(test, valid, np.zeros_like(test), (), {})
