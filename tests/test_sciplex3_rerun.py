"""Pages of the simulated screen run on a small hand-made sci-Plex 3 by one parameter; what cannot apply says why."""

import ast
import json
import shutil

import hand_made_full_size as hand_made
import pytest
from conftest import load_or_skip

from perturbook.data import fetch, load
from perturbook.data.sciplex3 import NAME
from perturbook.models import scdca_arms
from perturbook.models.shipped import FOLDER
from perturbook.pages import bundle_folder, study, train, trained
from perturbook.pages.table import ROOT, page

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*trusted on first use", "ignore:Variable names are not unique"
)
PAGE = "simulated-unseen-drug"
COMPOUNDS = {
    "Alvespimycin (17-DMAG) HCl ": "Alvespimycin",
    "(+)-JQ1": "JQ1",
    "Glesatinib?(MGCD265)": "Glesatinib?(MGCD265)",
    "2-Methoxyestradiol (2-MeOE2)": "2-Methoxyestradiol",
    "Belinostat (PXD101)": "Belinostat",
    **{name: name for name in ("Dasatinib", "Givinostat", "Hesperadin", "ABT-737", "AC480", "A-366")},
}
"""Compounds as the file has them, and what the drug table calls them."""
AWKWARD = ["Glesatinib?(MGCD265)", "Alvespimycin"]
REAL = {"data": NAME, "size": ""}
"""The one parameter, and the one that has no meaning for real cells."""


@pytest.fixture(scope="module")
def sciplex(tmp_path_factory):
    """The screen in an offline folder, its genes among those that the backbone in the box knows; and a project folder."""
    load_or_skip("sciplex3-drugs")
    (drugs,) = fetch("sciplex3-drugs")
    root = tmp_path_factory.mktemp("sciplex3")
    known = [name for name in json.loads((FOLDER / "vocab.json").read_text()) if name.isalnum()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hand_made, "DRUGS", tuple(COMPOUNDS))
        patch.setattr(hand_made, "GENES", known[:44])
        write = hand_made.writer(root, patch, NAME)
        shutil.copy(drugs, root / "mirror" / drugs.name)
        write(hand_made.sciplex_scperturb(n=5))
        patch.setattr(trained, "ROOT", root)
        for name, value in {"epochs": 1, "least_steps": 2, "warmup_steps": 0}.items():
            patch.setitem(scdca_arms.TRAINING, name, value)
        yield root


def design(page_id=PAGE, **given):
    return study.design_of(page(page_id), {**REAL, "scored_pairs": 2, **given})


def reasons(shown):
    return {one.name: one.reason for one in shown.bundle.predictions if one.mean is None}


def made(shown):
    return {one.name for one in shown.bundle.predictions if one.mean is not None}


def test_an_unseen_drug_of_real_cells_has_floors_and_reasons_for_what_cannot_be(sciplex, tmp_path):
    shown = study.run(design(held_out=AWKWARD, scored_pairs=0), tmp_path / "bundle")
    assert {"no_change", "mean_train", "knn", "shifted_controls"} <= made(shown)
    assert reasons(shown)["oracle"] == "the noise-free mean of real cells is not known"
    for name in ("scdca", "scdca_shuffled"):
        assert reasons(shown)[name].startswith(
            "no predictions are stored for sciplex3 and seed 0, and `perturbook train "
        )
    assert set(shown.bundle.truth.obs["perturbation"]) == set(AWKWARD)
    assert len(shown.bundle.truth.obs) == 2 * 3 * 4  # names, lines, doses
    assert not shown.bundle.truth.facts["synthetic"] and shown.audits[0]["checks"]


@pytest.mark.parametrize(
    ("page_id", "given", "contexts"),
    [
        ("simulated-unseen-combination", {"held_out": [f"A549 | {AWKWARD[0]}", "K562 | Alvespimycin"]}, 2),
        ("simulated-few-shot", {"k": 3}, 3),
        ("simulated-zero-shot", {}, 3),
    ],
)
def test_the_other_settings_run_too(sciplex, tmp_path, page_id, given, contexts):
    asked = design(
        page_id, models=["no_change", "mean_per_drug", "oracle", "scdca"], stored=["scdca"], **given
    )
    shown = study.run(asked, tmp_path / "bundle")
    assert made(shown) == {"no_change", "mean_per_drug"} and set(reasons(shown)) == {"oracle", "scdca"}
    assert shown.bundle.truth.obs["context"].nunique() == contexts
    assert shown.scores.loc[shown.scores["method"] == "mean_per_drug", "value"].notna().any()


def test_predictions_stored_for_the_simulated_screen_are_not_shown_for_real_cells(sciplex, tmp_path):
    place = sciplex / "results" / PAGE / "0"
    place.mkdir(parents=True)
    simulated = study.design_of(page(PAGE))
    record = {"parameters": trained.asked(simulated), "data": {}, "conditions": "", "files": {}}
    (place / "scdca.json").write_text(json.dumps(record))
    try:
        shown = study.run(design(models=["no_change", "scdca"], stored=["scdca"]), tmp_path / "bundle")
    finally:
        shutil.rmtree(place)
    assert reasons(shown)["scdca"].startswith("no predictions are stored for sciplex3 and seed 0")


@pytest.mark.slow
def test_what_is_trained_on_real_cells_is_shown_with_them(sciplex, tmp_path):
    (said,) = train.train(PAGE, ["scdca"], {**REAL, "held_out": AWKWARD, "scored_pairs": 0})
    assert said.startswith(f"{PAGE}: scdca, seed 0")
    asked = design(held_out=AWKWARD, scored_pairs=0, models=["no_change", "scdca"], stored=["scdca"])
    shown = study.run(asked, tmp_path / "bundle")
    assert made(shown) == {"no_change", "scdca"}
    assert shown.scores.loc[shown.scores["method"] == "scdca", "value"].notna().any()


def test_every_cell_of_the_notebook_runs_on_real_cells(sciplex, tmp_path):
    cells = json.loads((ROOT / "notebooks" / "setting.ipynb").read_text())["cells"]
    names = {"page": PAGE, "out": str(tmp_path / "bundle"), "resamples": 200}
    names |= vars(design(held_out=AWKWARD, scored_pairs=0)) | {"page": PAGE}
    shown = []
    for cell in cells:
        if cell["cell_type"] == "code" and "parameters" not in cell["metadata"]["tags"]:
            body = ast.parse("".join(cell["source"])).body
            exec(compile(ast.Module(body[:-1], []), "setting", "exec"), names)
            last = eval(compile(ast.Expression(body[-1].value), "setting", "eval"), names)
            shown.append(last.to_dict() if hasattr(last, "to_dict") else last.data)
    text = json.dumps(shown, default=str)
    assert "Simulated cells" not in text and "noise-free mean of real cells is not known" in text
    assert bundle_folder(names["out"], PAGE).is_dir() and len(shown) > 10


def test_a_smaller_file_made_of_the_large_one_runs_by_its_path(sciplex, tmp_path):
    small = tmp_path / "sciplex3-small.h5ad"
    load(NAME, genes=20, cells_per_condition=3).write_h5ad(small)
    shown = study.run(
        design(data=str(small), held_out=AWKWARD, models=["no_change", "knn", "oracle"], stored=[]),
        tmp_path / "bundle",
    )
    assert made(shown) == {"no_change", "knn"} and set(reasons(shown)) == {"oracle"}
    assert shown.bundle.truth.mean.shape[1] == 20 and (shown.bundle.truth.obs["n_cells"] == 3).all()
