"""What a model of genes says of itself before it is trained, for the record of a deposit, and what makes its training short."""

import json

import pytest
from small_world import small_world

from perturbook.models import MODELS, perturbed_vae_arms

TRAINED = [*perturbed_vae_arms.ARMS, "anchored_residual"]
BY_IDENTIFIERS = sorted(set(TRAINED) - {"perturbed_vae_features"})  # simulated genes are unknown to GO


@pytest.mark.parametrize("name", BY_IDENTIFIERS)
def test_a_description_is_json_and_names_what_decides_the_training(name):
    told = MODELS[name](seed=3).describe(small_world().training)
    assert json.loads(json.dumps(told)) == told
    training = told["training"]
    assert training["seed"] == 3 and {"epochs", "batch_size", "learning_rate"} <= set(training)
    quick = MODELS[name](**MODELS[name].quick).describe(small_world().training)["training"]
    assert quick["epochs"] == 1 < training["epochs"]


def test_arms_differ_in_what_they_say_as_they_differ():
    train = small_world().training
    plain, other = (MODELS[name]().describe(train) for name in ("perturbed_vae", "perturbed_vae_unaligned"))
    assert (plain["switches"]["d_nu"], plain["switches"]["hidden"], plain["codes"]) == (6, 64, "identifiers")
    assert plain["switches"] | {"align": "none"} == other["switches"]
    for name, field, value in (("scale", "spread", "scale"), ("contrast", "contrast", True)):
        around = MODELS[f"perturbed_vae_{name}"]().describe(train)["around"]
        assert around[field] == value and sum(map(bool, around.values())) == 1
    assert not any(plain["around"].values())
    everything = [json.dumps(MODELS[name]().describe(train)) for name in BY_IDENTIFIERS]
    assert len(set(everything)) == len(everything)


def test_a_quick_training_of_the_residual_answers():
    world = small_world()
    made = MODELS["anchored_residual"](**MODELS["anchored_residual"].quick).fit(world.training)
    assert made.predict(world.query).mean.shape == world.true.shape
