"""The identifiability study: twins find the latents, strangers do not, and the page reads what was stored."""

import json

import numpy as np
import pandas as pd
import pytest

from perturbook import data
from perturbook.errors import ConfigError, InputError
from perturbook.pages import identifiability as study
from perturbook.pages import identifiability_tables as shown
from perturbook.pages.charts import identifiability as charts
from perturbook.pages.identifiability import ARMS, COLUMNS, SCORES, World


def trained(seed, name, epochs):
    world, arm = World.of(seed), ARMS[name]
    return study.score(study.fit(world, type(arm)(**{**vars(arm), "epochs": epochs}))[0], world)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_twins_find_both_kinds_of_latents_and_random_partners_lose_the_invariant_ones(seed):
    twins, none, chance = (trained(seed, name, 20) for name in ("twins", "none", "random"))
    assert twins["r2_iota"] >= 0.90 and twins["r2_nu"] >= 0.90 and twins["mcc_nu"] >= 0.62
    assert twins["leak"] < 0.1
    assert chance["r2_iota"] <= 0.42 and chance["r2_iota"] < none["r2_iota"] < twins["r2_iota"]


def test_the_latents_of_the_truth_score_one():
    world = World.of(0)

    class Truth:
        def latents(self, x, u):
            import torch

            return torch.from_numpy(world.cells.obsm["zn"][:, ::-1] * 2), torch.from_numpy(
                world.cells.obsm["zi"]
            )

    found = study.score(Truth(), world)
    assert [found[key] for key in SCORES] == pytest.approx([1, 1, 1])
    assert 0 < found["leak"] < 0.9


def table_of(**values):
    """A deposit of two worlds; values are R2 of the invariant latents by arm."""
    rows = [
        {
            "align": ARMS[name].align,
            "pairing": ARMS[name].pairing,
            "seed": seed,
            "mcc_nu": 0.7,
            "r2_nu": 0.9,
            "r2_iota": value,
        }
        for name, pair in values.items()
        for seed, value in enumerate(pair)
    ]
    made = pd.DataFrame(rows)[COLUMNS]
    titles = {arm.key: arm.title for arm in ARMS.values()}
    return made.assign(arm=[titles[key] for key in zip(made["align"], made["pairing"], strict=True)])


def test_the_sentences_follow_the_deposit():
    table = table_of(none=(0.5, 0.6), twins=(0.9, 1.0), random=(0.2, 0.3))
    assert (
        "it hurts: 0.25" in shown.answer(table).data
        and "R² of 0.95, against 0.55" in shown.answer(table).data
    )
    assert shown.contrast(table, "random", "none", "r2_iota") == "-0.300 (every world: -0.30, -0.30)"
    other = table_of(none=(0.1, 0.1), twins=(0.9, 1.0), random=(0.2, 0.3))
    assert "it helps" in shown.answer(other).data
    assert "missed" in shown.reached(table).data and "met" in shown.reached(table).data
    assert "0.950<small>0.90, 1.00</small>" in shown.deposit_table(table).data
    said = charts.worlds_chart(table).to_dict()["description"]
    assert "Pairs, random controls: mean 0.25" in said


def test_every_arm_is_trained_live_and_shown(monkeypatch):
    small = World.of(0)
    keep = np.arange(small.cells.n_obs) % 10 == 0
    monkeypatch.setattr(shown.World, "of", classmethod(lambda cls, seed: small.subset(keep)))
    rows, histories, models = shown.live(0, 1)
    assert list(rows["arm"]) == [arm.title for arm in ARMS.values()] and rows.notna().all().all()
    assert set(histories["arm"]) == set(rows["arm"])
    values = shown.singular_values(models, small)
    assert values.groupby("of").size().to_dict() == {
        "The world itself": 8,
        **{arm.title: 8 for arm in ARMS.values()},
    }
    assert charts.singular_chart(values).to_dict()["width"] == "container"
    options = charts.history_chart(histories).to_dict()["params"][0]["bind"]["options"]
    assert "Squared distance to the partner" in options


def test_a_deposit_is_made_arm_by_arm_and_keeps_what_is_not_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "fit", lambda world, arm: (None, None))
    monkeypatch.setattr(
        study, "score", lambda model, world: {"mcc_nu": 0.1, "r2_nu": 0.2, "r2_iota": 0.3, "leak": 0.4}
    )
    to = tmp_path / "identifiability.csv"
    lines = list(study.make(range(2), ["none", "twins"], to))
    assert (
        lines[0] == "none, world 0: mcc_nu 0.100, r2_nu 0.200, r2_iota 0.300, leak 0.400" and len(lines) == 4
    )
    monkeypatch.setattr(
        study, "score", lambda model, world: {"mcc_nu": 0.9, "r2_nu": 0.9, "r2_iota": 0.9, "leak": 0.9}
    )
    list(study.make(range(1), ["twins"], to))
    table = study.stored(to).set_index(["arm", "seed"])["r2_iota"]
    assert table[ARMS["twins"].title].to_dict() == {0: 0.9, 1: 0.3} and table[ARMS["none"].title][0] == 0.3
    assert list(pd.read_csv(to).columns) == ["align", "pairing", "seed", "mcc_nu", "r2_nu", "r2_iota"]


def test_a_deposit_that_cannot_be_read_says_why(tmp_path, monkeypatch):
    to = tmp_path / "identifiability.csv"
    with pytest.raises(InputError, match="is missing; make it with `perturbook train identifiability`"):
        study.stored(to)
    with pytest.raises(ConfigError, match="Unknown arm 'magnet'. Known: none, twins"):
        list(study.make(range(1), ["magnet"], to))
    table_of(none=(0.5,))[COLUMNS[:-1]].to_csv(to, index=False)
    with pytest.raises(InputError, match="has columns align, pairing, seed, mcc_nu, r2_nu; expected"):
        study.stored(to)
    record = {"data": {"simulated-latent": data.checksum("simulated-latent")}}
    to.with_suffix(".json").write_text(json.dumps(record))
    table_of(none=(0.5,))[COLUMNS].assign(align="magnet").to_csv(to, index=False)
    with pytest.raises(InputError, match="does not know: magnet with random pairs"):
        study.stored(to)
    table_of(none=(0.5,))[COLUMNS].to_csv(to, index=False)
    to.with_suffix(".json").write_text('{"data": {"simulated-latent": "0"}}')
    with pytest.raises(InputError, match="made from other data than simulated-latent now holds"):
        study.stored(to)


def test_the_deposit_of_the_project_reaches_what_it_must():
    table = study.stored()
    assert table.groupby("arm")["seed"].nunique().to_dict() == dict.fromkeys(
        (a.title for a in ARMS.values()), 5
    )
    twins = table[table["arm"] == ARMS["twins"].title]
    for key, least in shown.REQUIRED.items():
        assert twins[key].mean() >= least, key
    mean = table.groupby("arm")["r2_iota"].mean()
    assert mean[ARMS["random"].title] < mean[ARMS["none"].title] < mean[ARMS["twins"].title]
