"""The predictor: what reaches it, what it keeps, and that its numbers depend on nothing else."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from safetensors.torch import load_file, save_file

from perturbook import data, splits
from perturbook.errors import ConfigError, InputError, LeakError, NotApplicable
from perturbook.models import Query, Training
from perturbook.models.backbones import BACKBONES
from perturbook.models.molecules import ENCODERS
from perturbook.models.scdca import Config, ScDCA, load, predictor, save
from perturbook.models.training import recalled

QUICK = {"backbone": "random", "encoder": "morgan", "epochs": 2, "learning_rate": 3e-3, "genes_per_step": 24}


def part(cells, names):
    some = cells[names].copy()
    some.uns.pop("truth", None)
    return some


@pytest.fixture(scope="module")
def asked():
    cells = data.load("simulated-drugs", size="small", expectation=False)
    split = splits.split(cells, "unseen_combination", 0)
    training = Training(part(cells, split.visible), frozenset(split.valid))
    return training, Query(part(cells, split.query), split.conditions), cells


@pytest.fixture(scope="module")
def fitted(asked):
    return ScDCA(config=Config(dose="append", head="delta_linear"), **QUICK).fit(asked[0])


def test_the_same_training_twice_gives_the_same_bits(asked, fitted, monkeypatch):
    monkeypatch.setattr(recalled, "_KNOWN", OrderedDict())
    again = ScDCA(config=Config(dose="append", head="delta_linear"), **QUICK).fit(asked[0])
    one, two = fitted.model.trained(), again.model.trained()
    assert all(bool((one[name] == two[name]).all()) for name in one)
    assert np.array_equal(fitted.predict(asked[1]).mean, again.predict(asked[1]).mean)


def test_an_equal_training_is_recalled_and_whatever_differs_is_trained(asked, fitted, monkeypatch):
    made = []
    fit = predictor.fit
    monkeypatch.setattr(predictor, "fit", lambda *args, **more: made.append(1) or fit(*args, **more))
    form = {"config": Config(dose="append", head="delta_linear")}
    again = ScDCA(**form, **QUICK).fit(asked[0])
    assert not made and np.array_equal(again.predict(asked[1]).mean, fitted.predict(asked[1]).mean)
    moved = asked[0].cells.copy()
    moved.layers["lognorm"][0, 0] += 1  # one value of one training cell
    for other in (
        ScDCA(**form, **QUICK | {"learning_rate": 2e-3}),
        ScDCA(**form, **QUICK | {"encoder": "random"}),
        ScDCA(**form, **QUICK | {"seed": 1}),
        ScDCA(config=Config(dose="append", head="delta_linear", bottleneck=8), **QUICK),
        ScDCA(config=Config(dose="append", head="delta_linear"), **QUICK | {"backbone": "small"}),
    ):
        other.fit(asked[0])
    ScDCA(**form, **QUICK).fit(Training(moved, asked[0].valid))
    assert len(made) == 6


def test_a_finished_training_is_taken_from_the_disk_and_one_by_other_code_is_not(
    asked, fitted, monkeypatch, tmp_path
):
    made, fit = [], predictor.fit
    monkeypatch.setattr(predictor, "fit", lambda *args, **more: made.append(1) or fit(*args, **more))
    form = {"config": Config(dose="append", head="delta_linear")}

    def again():
        monkeypatch.setattr(recalled, "_KNOWN", OrderedDict())  # as in another process
        with recalled.kept_in(tmp_path / "kept"):
            return ScDCA(**form, **QUICK).fit(asked[0])

    first, second = again(), again()
    assert len(made) == 1 and second.history.wide().equals(first.history.wide())
    assert np.array_equal(second.predict(asked[1]).mean, fitted.predict(asked[1]).mean)
    (file,) = (tmp_path / "kept").iterdir()
    assert set(load_file(file)) == set(first.model.trained())  # no number of the backbone
    monkeypatch.setattr(recalled, "_code", lambda file: "other code")
    again()
    assert len(made) == 2
    with recalled.kept_in(tmp_path / "kept"):
        pass
    monkeypatch.setattr(recalled, "_KNOWN", OrderedDict())
    ScDCA(**form, **QUICK).fit(asked[0])  # outside nothing is kept or looked for
    assert len(made) == 3 and len(list((tmp_path / "kept").iterdir())) == 2


def test_cells_are_controls_moved_by_the_predicted_change(asked, fitted):
    query = asked[1]
    made = replace(fitted, cells=True).fit(asked[0]).predict(query)
    means = fitted.predict(query).mean
    np.testing.assert_array_equal(made.mean, means)
    assert made.variance.shape == means.shape
    for row, cells in enumerate(made.cells):
        assert cells.mean(axis=0) == pytest.approx(means[row], abs=1e-5)
        controls = query.controls[query.controls.obs["context"] == query.conditions["context"].iloc[row]]
        assert len(cells) == controls.n_obs


def test_validation_conditions_are_examples_where_nothing_is_chosen_by_them(asked):
    obs = asked[0].cells.obs
    obs = obs[~obs["is_control"].to_numpy(bool)]
    held = obs.index.isin(asked[0].valid)
    every, fewer = (
        len(some.groupby(["context", "perturbation", "dose_um"], observed=True)) for some in (obs, obs[~held])
    )
    assert every > fewer
    quick = QUICK | {"epochs": 1, "batch_size": 1}

    def steps(**more):
        return ScDCA(**quick, **more).fit(asked[0]).history.steps

    assert steps() == fewer and steps(hold_validation=False) == every
    assert steps(hold_validation=False, least_steps=every + 9) == every + 9


def test_a_prediction_does_not_depend_on_the_order_or_number_of_conditions_asked_about(asked, fitted):
    whole, query = fitted.predict(asked[1]).mean, asked[1]
    turned = Query(query.controls[::-1].copy(), query.conditions.iloc[::-1])
    assert fitted.predict(turned).mean[::-1] == pytest.approx(whole, abs=1e-5)
    for row in (0, 7):
        alone = Query(query.controls, query.conditions.iloc[[row]])
        assert fitted.predict(alone).mean[0] == pytest.approx(whole[row], abs=1e-5)


def test_the_frozen_backbone_is_the_same_before_and_after(asked):
    backbone = BACKBONES["random"].make(None).model
    before = backbone.identity
    made = ScDCA(**QUICK | {"backbone": backbone}).fit(asked[0])
    assert backbone.identity == before == made.model.backbone.identity


def test_genes_outside_the_panel_keep_the_control_mean(asked):
    made = ScDCA(**QUICK | {"genes": 20}).fit(asked[0]).predict(asked[1])
    moved = (made.mean != asked[1].mu0).any(axis=0)
    assert moved.sum() == 20


def test_without_a_dose_all_doses_of_a_drug_get_one_prediction_and_with_it_they_differ(asked, fitted):
    query = asked[1]
    groups = query.conditions.groupby(["context", "perturbation"], observed=True).indices.values()
    blind = ScDCA(**QUICK).fit(asked[0]).predict(query).mean
    told = fitted.predict(query).mean
    for rows in groups:
        assert (blind[rows] == blind[rows[0]]).all()
        assert len(rows) == 1 or (told[rows[0]] != told[rows[1]]).any()


def test_the_predictor_reads_the_context_from_its_controls_alone(asked, fitted):
    """Another name for the context of the same control cells changes nothing."""
    query = asked[1]
    obs = query.controls.obs.assign(context="x" + query.controls.obs["context"].astype(str))
    controls = query.controls.copy()
    controls.obs = obs
    renamed = Query(controls, query.conditions.assign(context="x" + query.conditions["context"].astype(str)))
    assert np.array_equal(fitted.predict(renamed).mean, fitted.predict(query).mean)


def test_in_mode_b_other_controls_of_the_held_out_context_change_no_trained_number():
    cells = data.load("simulated-drugs", size="small", expectation=False)
    split = splits.split(cells, "zero_shot_context", 0, held_out="line-1", mode="B")
    changed, values = cells.copy(), cells.layers["lognorm"].toarray()
    values[(cells.obs["context"] == "line-1").to_numpy()] = 3.0
    changed.layers["lognorm"] = sp.csr_matrix(values)
    one, two = (
        ScDCA(**QUICK).fit(Training(part(some, split.visible), frozenset(split.valid))).model.trained()
        for some in (cells, changed)
    )
    assert all(bool((one[name] == two[name]).all()) for name in one)


def test_treated_cells_missing_controls_and_unknown_drugs_are_refused_before_computing(asked, fitted):
    training, query, cells = asked
    with pytest.raises(LeakError, match="treated cells"):
        Query(
            part(
                cells, query.conditions.index[:0].union(cells.obs_names[:0]).union(training.cells.obs_names)
            ),
            query.conditions,
        )
    with pytest.raises(InputError, match="No control cells are given for line-9"):
        Query(query.controls, query.conditions.assign(context="line-9"))
    with pytest.raises(NotApplicable, match="no SMILES for Unheard"):
        fitted.predict(Query(query.controls, query.conditions.assign(perturbation="Unheard-1")))


def test_a_condition_without_a_dose_is_refused_where_the_dose_is_read(asked, fitted):
    query = asked[1]
    with pytest.raises(NotApplicable, match="dose is appended"):
        fitted.predict(Query(query.controls, query.conditions.assign(dose_um=np.nan)))


def test_training_stops_by_validation_conditions_and_keeps_the_best(asked):
    made = ScDCA(**QUICK | {"epochs": 6, "learning_rate": 0.3, "patience": 1}).fit(asked[0])
    table = made.history.table()
    losses = table[(table["part"] == "validation") & (table["term"] == "loss")].set_index("step")["value"]
    assert made.history.best_step == losses.idxmin()
    assert "validation" in made.history.stopped or len(losses) == 6


def test_the_training_table_is_all_that_the_encoder_is_fitted_on(asked, fitted):
    training = asked[0]
    learned = training.cells.obs[~training.cells.obs_names.isin(training.valid)]
    assert set(fitted.encoding.fitted_on) <= set(learned["perturbation"].astype(str))
    assert isinstance(fitted.table, pd.DataFrame)


@pytest.fixture
def saved(fitted, tmp_path):
    return save(fitted, tmp_path / "adapter")


def test_a_saved_adapter_predicts_the_same_and_holds_no_number_of_the_backbone(asked, fitted, saved):
    assert np.array_equal(load(saved).predict(asked[1]).mean, fitted.predict(asked[1]).mean)
    held = load_file(saved / "adapter.safetensors")
    assert sum(one.numel() for one in held.values()) == fitted.model.n_trained
    assert {name.split(".")[0] for name in held} == {"adapters", "head"}
    assert {path.name for path in saved.iterdir()} == {"adapter.safetensors", "adapter.json"}


def test_loading_onto_another_backbone_names_both_checksums(fitted, saved):
    other = BACKBONES["random"].make(None, weights_seed=5).model
    with pytest.raises(InputError, match=f"{fitted.backbone_sha256}, and this one has {other.identity}"):
        load(saved, backbone=other)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "adapter.json").unlink(), "cannot be read; a saved adapter is a folder"),
        (lambda folder: (folder / "adapter.json").write_text("{"), "is no JSON"),
        (lambda folder: (folder / "adapter.json").write_text("{}"), "not a saved adapter of format 1"),
        (lambda folder: (folder / "adapter.safetensors").unlink(), "is missing"),
        (lambda folder: (folder / "adapter.safetensors").write_bytes(b"x" * 99), "no whole safetensors file"),
        (
            lambda folder: save_file({"head.weight": torch.zeros(1)}, folder / "adapter.safetensors"),
            "does not hold what its configuration trains",
        ),
    ],
    ids=["no json", "broken json", "other json", "no tensors", "broken tensors", "other tensors"],
)
def test_a_damaged_adapter_is_refused(saved, spoil, message):
    spoil(saved)
    with pytest.raises(InputError, match=message):
        load(saved)


def test_an_encoder_with_other_options_than_in_training_is_refused(asked, tmp_path):
    made = ScDCA(**QUICK | {"encoder": lambda: ENCODERS["random"](seed=1), "epochs": 1}).fit(asked[0])
    folder = save(made, tmp_path / "adapter")
    with pytest.raises(InputError, match="'seed': 1.*and this one has .*'seed': 0"):
        load(folder)
    again = load(folder, encoder=ENCODERS["random"](seed=1))
    assert np.array_equal(again.predict(asked[1]).mean, made.predict(asked[1]).mean)


def test_an_unfitted_predictor_cannot_be_saved(tmp_path):
    with pytest.raises(ConfigError, match="was not fitted"):
        save(ScDCA(), tmp_path / "adapter")


def test_controls_that_lack_genes_of_the_panel_are_refused(asked, fitted):
    query = asked[1]
    with pytest.raises(InputError, match="lack 1 genes of the panel"):
        fitted.predict(Query(query.controls[:, 1:].copy(), query.conditions))
