"""Predictions of models that train for long: stored once, read only where they answer the very same question."""

import json
from dataclasses import replace

import numpy as np
import pytest

from perturbook import data
from perturbook.errors import ConfigError, LeakError, PerturbookError
from perturbook.evaluation.prediction_file import write_prediction
from perturbook.models import scdca_arms
from perturbook.pages import deposit, study, train, trained
from perturbook.pages.design import Design

PAGE = "simulated-unseen-drug"
SMALL = {"size": "small", "scored_pairs": 2}
NAMES = ["scdca", "scdca_shuffled"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project folder whose models train two steps; its simulated screen is drawn once."""
    load, kept = data.load, {}

    def once(name, **options):
        key = (name, *sorted(options.items()))
        if key not in kept:
            kept[key] = load(name, **options)
        return kept[key]

    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", once)
        patch.setattr(trained, "ROOT", root)
        patch.setattr(train, "ROOT", root)
        patch.setattr(deposit, "RESULTS", root / "results")
        patch.setitem(scdca_arms.TRAINING, "epochs", 1)
        patch.setitem(scdca_arms.TRAINING, "least_steps", 2)
        patch.setitem(scdca_arms.TRAINING, "warmup_steps", 0)
        yield root


@pytest.fixture(scope="module")
def said(project):
    return list(train.train(PAGE, (), SMALL))


@pytest.fixture
def folder(project, said):
    """The stored predictions; as they were again behind a test that changes them."""
    place = project / "results" / PAGE / "0"
    before = {path: path.read_bytes() for path in place.iterdir()}
    yield place
    for path in place.iterdir():
        path.unlink()
    for path, content in before.items():
        path.write_bytes(content)


def design(**other):
    asked = {
        "models": ["no_change", *NAMES],
        "stored": NAMES,
        "setting": "unseen_drug",
        "data": "simulated-drugs",
    }
    return Design(page=PAGE, **{**asked, **SMALL, **other})


@pytest.fixture(scope="module")
def truth(project):
    return study.truth_of(design())


def test_each_model_leaves_its_predictions_and_a_record_of_its_training(folder, said):
    assert [path.name for path in sorted(folder.iterdir())] == [
        "scdca.h5ad",
        "scdca.json",
        "scdca_shuffled.h5ad",
        "scdca_shuffled.json",
    ]
    assert [line.split(",")[0] for line in said] == [f"{PAGE}: {name}" for name in NAMES]
    record = json.loads((folder / "scdca.json").read_text())
    assert (
        record["made_of"]["training"]["least_steps"] == 2 and record["made_of"]["encoder"]["name"] == "morgan"
    )
    assert 0 < record["made_of"]["trainable_share"] < 0.01
    assert record["data"] == {"simulated-drugs": data.checksum("simulated-drugs")}
    assert record["audits"][0]["checks"] and record["seconds"] > 0


def test_a_page_shows_what_was_stored_beside_floors_made_live(folder, tmp_path):
    shown = study.run(design(), tmp_path / "bundle")
    assert [one.name for one in shown.bundle.predictions] == ["no_change", *NAMES]
    kept = {one.name: one for one in trained.read(design(), shown.bundle.truth)}
    for one in shown.bundle.predictions[1:]:
        np.testing.assert_array_equal(one.mean, kept[one.name].mean)
        np.testing.assert_array_equal(one.mean_split, kept[one.name].mean_split)
        made, stored = tmp_path / "bundle" / one.file, folder / one.file
        assert (
            made.read_bytes() == stored.read_bytes()
        )  # so that a record still names its files after a deposit
        assert (tmp_path / "bundle" / f"{one.name}.json").read_bytes() == (
            folder / f"{one.name}.json"
        ).read_bytes()
    assert shown.scores.loc[shown.scores["method"] == "scdca", "value"].notna().any()


def test_what_is_said_of_cells_comes_back_as_the_same_file_too(folder, truth, tmp_path):
    kept = trained.read(design(stored=["scdca"]), truth)[0]
    variance = np.full(kept.mean.shape, 0.3, np.float32)
    trained.store(design(), "scdca", [replace(kept, variance=variance)], truth, seconds=1.0)
    again = trained.read(design(stored=["scdca"]), truth)[0]
    write_prediction(truth, again, tmp_path / again.file)
    assert (tmp_path / again.file).read_bytes() == (folder / again.file).read_bytes()
    np.testing.assert_array_equal(again.variance, variance)


def test_what_is_stored_is_what_training_within_the_page_gives(folder, truth, tmp_path):
    live = study.run(design(stored=[], models=NAMES), tmp_path / "bundle").bundle
    for mine, kept in zip(live.predictions, trained.read(design(), truth), strict=True):
        np.testing.assert_array_equal(mine.mean, kept.mean)
        np.testing.assert_array_equal(mine.mean_split, kept.mean_split)


@pytest.mark.parametrize(
    "other, why",
    [
        ({"seed": 1}, "no predictions are stored for simulated-drugs and seed 1"),
        ({"fold": 1}, "made with other values of fold"),
        ({"scored_pairs": 3}, "made with other values of scored_pairs"),
    ],
)
def test_another_question_gets_no_stored_answer_and_says_why(folder, truth, other, why):
    for one in trained.read(design(**other), truth):
        assert one.mean is None and why in one.reason


def test_another_data_set_has_a_folder_of_its_own_and_a_file_of_the_readers_none(project, truth, tmp_path):
    other = trained.place(design(data="sciplex3", size="", scored_pairs=0))
    assert other == project / "results" / f"{PAGE}-sciplex3" / "0"
    mine = tmp_path / "mine.h5ad"
    mine.touch()
    for one in trained.read(design(data=str(mine), size=""), truth):
        assert "none are stored for a file of your own" in one.reason
    with pytest.raises(ConfigError, match="file of your own, for which nothing is stored. Train on the page"):
        list(train.train(PAGE, (), {"data": str(mine), "size": ""}))


def test_a_parameter_that_did_not_exist_when_a_model_was_trained_has_its_usual_value(folder, truth):
    record = json.loads((folder / "scdca.json").read_text())
    del record["parameters"]["k_sweep"], record["parameters"]["batch_column"]
    (folder / "scdca.json").write_text(json.dumps(record))
    assert all(one.mean is not None for one in trained.read(design(), truth))
    del record["parameters"]["size"]  # which is "small" here and usually empty
    (folder / "scdca.json").write_text(json.dumps(record))
    assert (
        trained.read(design(), truth)[0].reason
        == "the stored predictions were made with other values of size"
    )


def test_other_data_or_conditions_get_no_stored_answer(folder, truth):
    record = json.loads((folder / "scdca.json").read_text())
    for key, value, why in (
        ("data", {"simulated-drugs": "0" * 64}, "other data"),
        ("conditions", "0" * 64, "other conditions"),
    ):
        (folder / "scdca.json").write_text(json.dumps({**record, key: value}))
        absent, present = trained.read(design(), truth)
        assert why in absent.reason and present.mean is not None


def test_a_changed_or_missing_file_stops_the_page(folder, truth):
    (folder / "scdca.h5ad").write_bytes((folder / "scdca_shuffled.h5ad").read_bytes())
    with pytest.raises(PerturbookError, match=r"scdca\.h5ad is not the file that scdca\.json names"):
        trained.read(design(), truth)
    (folder / "scdca.h5ad").unlink()
    with pytest.raises(PerturbookError, match=r"scdca\.h5ad is not the file"):
        trained.read(design(), truth)


def test_a_model_that_trains_otherwise_now_is_found_by_its_probe(folder, monkeypatch):
    for path in trained.records(folder):
        trained.check(path)
    trained.probe.cache_clear()
    monkeypatch.setitem(scdca_arms.FORM, "activation", "gelu")
    try:
        with pytest.raises(
            PerturbookError, match="scdca trains otherwise now than when its predictions were stored"
        ):
            trained.check(folder / "scdca.json")
    finally:
        trained.probe.cache_clear()


def test_only_stored_models_are_trained_and_only_audited_studies(project, monkeypatch):
    with pytest.raises(ConfigError, match="does not store no_change. Stored models: scdca, scdca_shuffled"):
        list(train.train(PAGE, ["no_change"], SMALL))
    with pytest.raises(ConfigError, match="stored names scdca, scdca_shuffled, which models does not"):
        design(models=["no_change"])

    def leak(*_, **__):
        raise LeakError("planted")

    monkeypatch.setattr("perturbook.splits.audit", leak)
    monkeypatch.setattr(train, "predict", lambda *_: pytest.fail("a model was trained before the audit"))
    with pytest.raises(LeakError, match="planted"):
        list(train.train(PAGE, (), SMALL))


def test_a_costly_model_is_trained_once_and_never_sees_the_reference_controls(monkeypatch, project, tmp_path):
    from perturbook.models.scdca import ScDCA

    seen, fit = [], ScDCA.fit
    monkeypatch.setattr(
        ScDCA, "fit", lambda self, train: seen.append(set(train.cells.obs_names)) or fit(self, train)
    )
    asked = design(models=["scdca"], stored=[])
    split = asked.splits(asked.load())[""][0]
    study.run(asked, tmp_path / "bundle")
    assert len(seen) == 1 and split.reference.size
    assert not seen[0] & set(split.reference)


@pytest.mark.parametrize("name", ["anchored_residual", "anchored_latents", "perturbed_vae"])
def test_a_model_of_genes_is_probed_on_a_screen_of_pairs(name):
    found = trained.probe(name)
    assert len(found) >= 8 and np.isfinite(found).all() and np.abs(found).max() > 0
