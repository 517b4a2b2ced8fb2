"""The simulated screen, measured by the predictors of the book: floors stand as biology would order them."""

import numpy as np
import pandas as pd
import pytest

from perturbook import data, splits
from perturbook.models import MODELS, Query, Training

pytestmark = pytest.mark.slow

LINES = [f"line-{i}" for i in range(1, 7)]
STRONG_UM = 1.0
"""The two highest doses are 1 and 10 uM."""


@pytest.fixture(scope="module")
def screen():
    return data.load("simulated-drugs")


@pytest.fixture(scope="module")
def shuffled():
    return data.load("simulated-drugs", shuffle_responsiveness=True, expectation=False)


def errors(cells, names, setting, **options) -> dict[str, np.ndarray]:
    """RMSE of means per condition at the two highest doses, for every predictor in `names`."""
    split = splits.split(cells, setting, 0, **options)
    known, profiles = cells.uns["truth"], data.pseudobulk(cells[split.test])
    parts = [cells[names_].copy() for names_ in (split.visible, split.query)]
    for part in parts:
        part.uns.pop("truth")
    truth = None
    if "expected_lognorm" in known:
        truth = pd.DataFrame(known["expected_lognorm"], index=known["conditions"])
    training, query = Training(parts[0]), Query(parts[1], split.conditions, truth)
    measured = pd.DataFrame(profiles.mean, index=profiles.obs.index).loc[split.conditions.index].to_numpy()
    strong = (split.conditions["dose_um"] >= STRONG_UM).to_numpy()
    made = {name: MODELS[name]().fit(training).predict(query).mean for name in names}
    return {name: np.sqrt(((mean - measured) ** 2).mean(axis=1))[strong] for name, mean in made.items()}


def over_lines(cells, names, setting, **options) -> dict[str, np.ndarray]:
    each = [errors(cells, names, setting, held_out=line, **options) for line in LINES]
    return {name: np.array([one[name].mean() for one in each]) for name in names}


ORDER = ["no_change", "mean_train", "oracle"]


@pytest.mark.parametrize("setting", ["unseen_drug", "unseen_combination"])
def test_no_change_is_worst_then_the_mean_and_the_oracle_is_best(screen, setting):
    worst, middle, best = (errors(screen, ORDER, setting)[name].mean() for name in ORDER)
    assert worst > 1.05 * middle > 1.05 * best


@pytest.mark.parametrize(
    ("setting", "options"), [("zero_shot_context", {"mode": "B"}), ("few_shot_context", {"k": 8})]
)
def test_the_order_holds_in_a_new_line_too(screen, setting, options):
    found = over_lines(screen, ORDER, setting, **options)
    assert found["no_change"].mean() > 1.05 * found["mean_train"].mean() > 1.05 * found["oracle"].mean()


def test_structure_helps_with_an_unseen_drug_and_leaves_something_to_learn(screen):
    found = errors(screen, ["mean_train", "morgan_ridge", "morgan_ridge_shuffled", "oracle"], "unseen_drug")
    ridge, mean = found["morgan_ridge"].mean(), found["mean_train"].mean()
    assert ridge < 0.95 * mean and found["morgan_ridge_shuffled"].mean() > 0.97 * mean
    assert found["oracle"].mean() < 0.9 * ridge


def gain(cells) -> np.ndarray:
    """Share of the error of the drug's mean that the context-aware ridge takes away, per line."""
    found = over_lines(cells, ["mean_per_drug", "context_ridge"], "zero_shot_context", mode="A")
    return 1 - found["context_ridge"] / found["mean_per_drug"]


def test_untreated_cells_tell_how_a_line_responds_and_nothing_else_does(screen, shuffled):
    """With responsiveness shuffled across lines the context-aware ridge falls to the mean of the drug."""
    live, dead = gain(screen), gain(shuffled)
    assert live.mean() > 0.03 and (live > 0).sum() >= 5
    assert dead.mean() < 0.02 and dead.mean() < live.mean() / 2
