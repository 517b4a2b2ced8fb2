"""The card of the latent world tells what its truth holds."""

import numpy as np
import pytest

from perturbook import data
from perturbook.pages import latent_world
from perturbook.pages.charts.latent_world import shift_chart


@pytest.fixture(scope="module")
def cells():
    return data.load("simulated-latent")


def test_the_matrix_of_sufficiency_is_made_of_natural_parameters_relative_to_control():
    truth = {"mu": np.array([[0.0, 0.0], [1.0, 2.0]]), "v": np.array([[1.0, 1.0], [2.0, 0.5]])}
    assert latent_world.sufficiency(truth)[:, 0].tolist() == [0.5, 4.0, 0.25, -0.5]


def test_environments_that_change_no_variance_cannot_suffice():
    rng = np.random.default_rng(0)
    truth = {"mu": rng.normal(size=(13, 4)), "v": np.ones((13, 4))}
    truth["mu"][0] = 0
    assert np.linalg.matrix_rank(latent_world.sufficiency(truth)) == 4


def test_every_world_shown_has_the_rank_and_singular_values_of_the_recipe():
    found = latent_world.worlds(range(5))
    assert (found["rank"] == 8).all() and (found["needed"] == 8).all()
    assert found["smallest"].to_numpy() == pytest.approx([0.5302, 0.6868, 1.4305, 1.0278, 0.4783], abs=1e-4)
    assert found["largest"][0] == pytest.approx(13.1011, abs=1e-4)


def test_only_responsive_latents_move_with_the_environment(cells):
    found = latent_world.shifts(cells)
    assert len(found) == 11 * 13
    largest = latent_world.largest_shift(found)
    # 600 control cells and 200 per environment leave a mean a standard error of sqrt(1/600 + 1/200) = 0.08
    assert largest["responsive"] > 1 > 0.35 > largest["invariant"]
    assert (found.loc[found["environment"] == "control", "shift"] == 0).all()


def test_the_chart_describes_itself(cells):
    spec = shift_chart(latent_world.shifts(cells)).to_dict()
    assert spec["width"] == "container" and len(spec["description"]) > 60
