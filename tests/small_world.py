"""One small simulated world of gene pairs, split, for tests of what pairs do beyond the sum of their genes."""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from perturbook import data, splits
from perturbook.models import Query, Training


class World(NamedTuple):
    """What a model is shown, what it is asked, and what is true of the doubles asked about, in the order asked."""

    training: Training
    query: Query
    true: np.ndarray
    """Noise-free means `(doubles, genes)`."""
    classes: np.ndarray
    """Class of interaction `(doubles,)`."""


@cache
def small_world() -> World:
    """World 1 of `simulated-pairs` in its small size under the additive split; made once, to be read and not changed."""
    cells = data.load("simulated-pairs", size="small", worlds=1)
    truth = cells.uns.pop("truth")
    split = splits.split(cells, "additive_split", 0, context="world-1")
    asked = split.conditions.index
    true = pd.DataFrame(truth["expected_lognorm"], index=truth["conditions"]).loc[asked].to_numpy()
    classes = truth["doubles"]["interaction_class"].loc[asked].to_numpy()
    training = Training(cells[split.visible].copy(), frozenset(split.valid))
    return World(training, Query(cells[split.query].copy(), split.conditions), true, classes)
