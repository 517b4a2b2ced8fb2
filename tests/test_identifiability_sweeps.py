"""The sweeps of the identifiability study change one thing each, and the page says what the deposit holds."""

import numpy as np
import pandas as pd
import pytest

from perturbook.errors import ConfigError, InputError
from perturbook.pages import identifiability_sweeps as sweeps
from perturbook.pages.charts.identifiability_sweeps import sweep_chart
from perturbook.pages.identifiability import ARMS, SCORES, World
from perturbook.pages.identifiability_sweeps import SWEEPS
from perturbook.pages.identifiability_sweeps_shown import said, sweep_table


@pytest.fixture(scope="module")
def world():
    return World.of(0)


def test_fewer_environments_leave_their_cells_out_of_training_and_test(world):
    fewer, arm = sweeps.with_environments(world, ARMS["twins"], 4)
    assert sorted(fewer.cells.obs["env"].unique()) == [0, 1, 2, 3, 4] and arm is ARMS["twins"]
    assert (fewer.cells[fewer.train].obs["env"] == 3).sum() == 200
    everything, _ = sweeps.with_environments(world, ARMS["twins"], 12)
    np.testing.assert_array_equal(everything.cells.X, world.cells.X)


def test_a_response_as_loud_as_the_study_s_is_its_world_and_another_loudness_keeps_the_latents(world):
    same, _ = sweeps.with_response(world, ARMS["twins"], 1)
    # centred and scaled by its own cells instead of the scaling draw: the same up to an affine map
    slope = np.polyfit(world.cells.X[:, 0], same.cells.X[:, 0], 1)
    np.testing.assert_allclose(np.polyval(slope, world.cells.X[:, 0]), same.cells.X[:, 0], atol=1e-4)
    quiet, _ = sweeps.with_response(world, ARMS["twins"], 0.125)
    np.testing.assert_array_equal(quiet.cells.obsm["zn"], world.cells.obsm["zn"])
    np.testing.assert_allclose(quiet.cells.X[quiet.train].mean(axis=0), 0, atol=1e-5)


@pytest.mark.parametrize(("factor", "louder"), [(0.125, False), (4, True)])
def test_the_factor_says_how_much_of_the_features_the_response_explains(world, factor, louder):
    def share(one):
        zn = np.column_stack([one.cells.obsm["zn"], np.ones(one.cells.n_obs)])
        left = one.cells.X - zn @ np.linalg.lstsq(zn, one.cells.X, rcond=None)[0]
        return 1 - left.var() / one.cells.X.var()

    assert (share(sweeps.with_response(world, ARMS["twins"], factor)[0]) > share(world)) == louder


def test_a_twin_stays_a_twin_when_the_response_is_made_louder(world):
    loud, _ = sweeps.with_response(world, ARMS["twins"], 4)
    control = (world.cells.obs["env"] == 0).to_numpy()
    gap = [np.abs(one.cells.X - one.cells.layers["x_twin"])[~control].mean() for one in (world, loud)]
    assert gap[1] > gap[0]


def test_the_weights_are_the_only_switches_that_change(world):
    same, arm = sweeps.with_weight(world, ARMS["random"], 0.5)
    assert same is world and arm.switches == {"alpha": 0.5} and arm.pairing == "random"
    same, arm = sweeps.with_kl(world, ARMS["twins"], 1e-3)
    assert (
        same is world and arm.switches == {"w_nu": 1e-3, "w_iota": 1e-3} and arm.pairing == "counterfactual"
    )


def deposit():
    rows = [
        {
            "sweep": name,
            "value": value,
            "align": ARMS[arm].align,
            "pairing": ARMS[arm].pairing,
            "seed": seed,
            "mcc_nu": 0.5,
            "r2_nu": 0.6,
            "r2_iota": at / 10 + seed / 50,
        }
        for name, sweep in SWEEPS.items()
        for arm in sweep.arms
        for at, value in enumerate(sweep.values)
        for seed in (0, 1)
    ]
    titles = {arm.key: arm.title for arm in ARMS.values()}
    made = pd.DataFrame(rows)
    return made.assign(arm=[titles[key] for key in zip(made["align"], made["pairing"], strict=True)])


def test_sentence_table_and_chart_say_the_means_of_the_deposit():
    rows = deposit()
    text = said(rows, "environments").data
    assert "at 4 and at 12" in text and "R², invariant: 0.01 and 0.41, best 0.41 at 12" in text
    html = sweep_table(rows).data
    assert html.count("<tr>") == 1 + sum(len(one.values) * len(one.arms) for one in SWEEPS.values())
    chart = sweep_chart(rows, "weight").to_dict()
    assert "Pairs, random controls: from 0.01 to 0.41" in chart["description"]


def test_a_deposit_is_made_of_every_value_and_world_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps, "fit", lambda world, arm: (arm.epochs, None))
    monkeypatch.setattr(sweeps, "score", lambda model, world: dict.fromkeys(SCORES, 0.5) | {"leak": 0.1})
    to = tmp_path / "sweeps.csv"
    lines = list(sweeps.make(to=to, worlds=1, epochs=2))
    assert lines[0] == "environments 4, Pairs, counterfactual twins: 1 worlds"
    monkeypatch.setattr(sweeps, "score", lambda model, world: dict.fromkeys(SCORES, 0.9) | {"leak": 0.1})
    list(sweeps.make(["kl"], to, worlds=1, epochs=2))
    with pytest.raises(ConfigError, match="Unknown sweep 'depth'. Known: environments, response, weight, kl"):
        list(sweeps.make(["depth"], to))
    rows = sweeps.stored(to)
    assert set(rows.loc[rows["mcc_nu"] == 0.9, "sweep"]) == {"kl"}
    assert len(rows) == sum(len(one.values) * len(one.arms) for one in SWEEPS.values())
    with pytest.raises(InputError, match="make it with `perturbook train identifiability sweeps`"):
        sweeps.stored(tmp_path / "none.csv")


def test_the_deposit_of_the_project_holds_every_sweep():
    rows = sweeps.stored()
    for name, sweep in SWEEPS.items():
        mine = rows[rows["sweep"] == name]
        assert set(mine["value"]) == set(sweep.values)
        assert set(mine["arm"]) == {ARMS[arm].title for arm in sweep.arms}
        assert mine.groupby(["arm", "value"])["seed"].nunique().eq(sweeps.WORLDS).all()
