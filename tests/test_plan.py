"""What makes a page run again: its own files and facts, and nothing else."""

import inspect
import json
from pathlib import Path

import pandas as pd
import pytest

from perturbook import data
from perturbook.errors import ConfigError, InputError
from perturbook.models import MODELS
from perturbook.pages import plan
from perturbook.pages.table import ROOT, Page, in_tier, page, pages
from perturbook.source import closure

SRC = "src/perturbook/"
SETTING = Page(
    id="mine",
    title="Mine",
    part="Real cells",
    notebook="setting",
    parameters={
        "data": "simulated-drugs",
        "setting": "unseen_drug",
        "models": ["no_change", "knn"],
        "modes": [],
        "size": "small",
    },
)


def step(one=SETTING, **given):
    return plan.step(one, {**one.parameters, **given}, Path("build/mine"), [])


@pytest.fixture(scope="module")
def smoke():
    return {one.page.id: one for one in plan.steps("smoke")}


def test_every_input_of_a_build_is_a_file_or_made_by_the_build(smoke):
    made = {path.as_posix() for one in smoke.values() for path in (one.bundle, one.manifest) if path}
    made |= {path.as_posix() for path in plan.simulations(list(smoke.values()), plan.folder("smoke"))}
    for one in smoke.values():
        assert len(set(one.inputs)) == len(one.inputs)
        for path in one.inputs:
            assert path in made or (ROOT / path).is_file(), f"{one.page.id}: {path}"


def test_a_step_stands_on_its_notebook_its_runner_and_the_pins(smoke):
    for one in smoke.values():
        needed = {f"notebooks/{one.page.notebook}.ipynb", SRC + "pages/runner.py", "constraints.txt"}
        assert needed <= set(one.inputs)


def test_a_model_is_an_input_of_the_pages_that_name_it_and_of_no_other():
    assert SRC + "models/knn.py" in step().inputs
    assert SRC + "models/additive.py" not in step().inputs
    assert SRC + "models/additive.py" in step(models=["additive"]).inputs
    assert SRC + "models/knn.py" not in step(models=["additive"]).inputs


@pytest.mark.parametrize("one", plan.steps("book"), ids=lambda one: one.page.id)
def test_in_the_book_a_page_stands_on_the_files_of_its_own_models_only(one):
    files = {name: Path(inspect.getfile(made)) for name, made in MODELS.items()}
    own = closure(*(files[name] for name in one.given.get("models", [])))
    listed = {path for path in files.values() if path.relative_to(ROOT).as_posix() in one.inputs}
    if one.page.scored:
        assert listed == set(files.values()) & set(own)
    else:
        assert len(listed) < len(set(files.values()))


def test_a_setting_a_data_set_and_a_chart_are_inputs_of_the_pages_that_use_them():
    assert SRC + "splits/unseen_drug.py" in step().inputs
    assert SRC + "splits/random_cells.py" not in step().inputs
    assert SRC + "data/simulated_drugs.py" in step().inputs
    assert SRC + "data/kang2018_mini.py" not in step().inputs
    assert SRC + "pages/charts/setting.py" in step().inputs
    assert SRC + "pages/charts/scores.py" not in step().inputs


def test_pages_stand_on_what_they_read_of_the_checkpoint_in_the_box():
    folder = SRC + "models/checkpoints/small/"
    assert folder + "training_cells.npy" in step().inputs
    assert folder + "model.safetensors" not in step().inputs
    embeddings = step(next(one for one in pages() if one.notebook == "embeddings"))
    assert folder + "model.safetensors" in embeddings.inputs


def test_every_backbone_is_an_input_of_a_page_that_embeds():
    embeddings = step(next(one for one in pages() if one.notebook == "embeddings"))
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / SRC / "models/backbones").glob("*.py")}
    assert files <= set(embeddings.inputs) and not files & set(step().inputs)


def test_a_data_set_that_the_notebook_itself_names_is_a_fact_of_its_page():
    scores = step(next(one for one in pages() if one.notebook == "scores"))
    assert json.loads(scores.facts)["data"]["simulated-drugs"] == data.checksum("simulated-drugs")
    assert SRC + "data/simulated_drugs.py" in scores.inputs
    assert SRC + "pages/charts/scores.py" in scores.inputs
    assert SRC + "pages/charts/setting.py" not in scores.inputs


def test_a_changed_parameter_text_or_title_changes_the_facts_and_nothing_else_does():
    facts = step().facts
    assert step().facts == facts
    assert step(seed=1).facts != facts
    for change in ({"text": {"lead": "Other words."}}, {"title": "Other"}):
        assert step(Page(**{**SETTING.__dict__, **change})).facts != facts
    assert step(Page(**{**SETTING.__dict__, "tier": "full"})).facts == facts


def test_a_changed_checksum_of_the_data_changes_the_facts(monkeypatch):
    facts = step().facts
    monkeypatch.setattr(data, "checksum", lambda name: "0" * 64)
    assert json.loads(step().facts)["data"] == {"simulated-drugs": "0" * 64}
    assert step().facts != facts


def test_where_the_data_cannot_be_had_the_deposit_is_an_input_instead(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "available", lambda name: False)
    one = step(page("kang-zero-shot"))
    assert json.loads(one.facts)["data"] == {"kang2018-mini": "absent"}
    deposited = [path.relative_to(ROOT).as_posix() for path in (ROOT / "results/kang-zero-shot").rglob("*.*")]
    assert set(deposited) <= set(one.inputs)


def test_a_readers_own_file_is_known_by_its_bytes(tmp_path):
    own = tmp_path / "mine.h5ad"
    own.write_bytes(b"one")
    first = step(data=str(own), size="").facts
    own.write_bytes(b"two")
    assert step(data=str(own), size="").facts != first


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"typo": 1}, "Unknown parameter typo. setting knows: page"),
        ({"seed": "x"}, "Parameter seed must be int, not 'x'"),
        ({"seed": -1}, "seed=-1 must not be negative"),
        ({"data": "nosuch"}, "Unknown data set 'nosuch'. Known: .*kang2018-mini"),
        ({"data": "nosuch.h5ad"}, "data='nosuch.h5ad': there is no such file"),
        ({"data": "geneset-hallmark", "size": ""}, "geneset-hallmark holds no cells"),
        ({"data": "kang2018-mini"}, "size='small' has no meaning for kang2018-mini, which is not simulated"),
        ({"setting": "nosuch"}, "Unknown setting 'nosuch'. Known: additive_split"),
        ({"models": ["no_chance"]}, "Unknown model 'no_chance'. Known: additive"),
        ({"modes": ["A"]}, r"modes=\['A'\] has no meaning in unseen_drug"),
        ({"k": 3}, "k=3 has no meaning in unseen_drug"),
        ({"scored_pairs": -3}, "scored_pairs=-3 must not be negative"),
        ({"setting": "zero_shot_context", "modes": ["C"]}, r"modes=\['C'\] must name A, B or both"),
        ({"setting": "random_cells", "held_out": ["A"]}, "held_out has no meaning in random_cells"),
        (
            {"setting": "zero_shot_context", "modes": ["A"], "fold": 1},
            "fold=1 has no meaning in zero_shot_context",
        ),
    ],
)
def test_an_impossible_run_is_refused_before_anything_starts(given, message):
    with pytest.raises((ConfigError, InputError), match=message):
        step(**given)


def test_the_leaderboard_waits_for_every_bundle_and_provenance_for_every_manifest(smoke):
    scored = [one for one in smoke.values() if one.page.scored]
    assert scored
    board, provenance = smoke["leaderboard"], smoke["provenance"]
    assert {one.bundle.as_posix() for one in scored} <= set(board.inputs)
    others = [one for one in smoke.values() if one is not provenance]
    assert board in others
    assert {one.manifest.as_posix() for one in others} <= set(provenance.inputs)


def test_only_pages_that_read_others_results_have_made_files_among_their_inputs(smoke):
    for one in smoke.values():
        made = [path for path in one.inputs if path.startswith("build/") and "/data/" not in path]
        assert bool(made) == bool(one.page.after)


def test_steps_keep_the_reading_order_and_write_to_their_own_places():
    planned = plan.steps("book")
    order = [one.id for one in in_tier("book") if one.notebook]
    assert [one.page.id for one in planned] == order
    for place in ("notebook", "manifest", "bundle"):
        places = [getattr(one, place) for one in planned if getattr(one, place)]
        assert pd.Index(places).is_unique


def test_the_bundle_of_a_page_lies_where_its_notebook_is_told_to_put_it(smoke):
    for one in smoke.values():
        assert one.given.get("out", "") == (one.bundle.as_posix() if one.bundle else "")
