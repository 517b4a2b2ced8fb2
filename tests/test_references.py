"""The reference notebooks that nbval runs again: one for every notebook, of its present code, naming no machine."""

import json
import re
import subprocess
import sys

import pytest
from make_references import COMPARED, FOLDER, IGNORED, PAGES, prepare
from small_book import ROOT

from perturbook.pages.table import page as page_of


def read(page):
    path = FOLDER / f"{page}.ipynb"
    command = f"make it with `.venv/bin/python tests/make_references.py {page}`"
    assert path.is_file(), f"the reference of {page} is missing; {command}"
    return json.loads(path.read_text())["cells"], command


def test_every_notebook_has_one_reference_and_no_other_is_kept():
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    of_smoke = {page_of(page).notebook for page in PAGES}
    # they read pages, or stored predictions, that are in no smoke build; tests of their own cover them
    assert notebooks - of_smoke == {
        "plates",
        "one_drug",
        "drug_aims",
        "ablations",
        "sampling",
        "additive",
        "latents",
        "concepts_attribution",
        "concepts_control",
    }
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_reference_holds_the_present_code_texts_and_parameters(page):
    cells, command = read(page)
    wanted = prepare(page).cells
    assert len(cells) == len(wanted), f"the reference of {page} is stale; {command}"
    for cell, now in zip(cells, wanted, strict=True):
        mine = (cell["id"], cell["cell_type"], "".join(cell["source"]), cell["metadata"]["tags"])
        assert mine == (now.id, now.cell_type, now.source, now.metadata.tags), f"{page} is stale; {command}"


@pytest.mark.parametrize("page", PAGES)
def test_a_reference_keeps_outputs_of_compared_cells_only_and_none_is_an_error(page):
    for cell in read(page)[0]:
        if cell["cell_type"] == "code":
            tags = cell["metadata"]["tags"]
            assert (COMPARED in tags) != (IGNORED in tags)
            assert bool(cell["outputs"]) == (COMPARED in tags)
            assert all(output["output_type"] != "error" for output in cell["outputs"])


def test_scores_and_audits_are_among_what_is_compared():
    compared = [
        "".join(cell["source"])
        for page in PAGES
        for cell in read(page)[0]
        if COMPARED in cell["metadata"]["tags"]
    ]
    assert any("score_table" in source for source in compared)
    assert any("audit_table" in source for source in compared)


@pytest.mark.slow
def test_a_changed_number_of_a_reference_is_noticed(kang, tmp_path):
    text = (FOLDER / "kang-zero-shot.ipynb").read_text()
    (tmp_path / "changed.ipynb").write_text(re.sub(r"<td>0\.\d\d", "<td>0.00", text, count=1))
    assert (tmp_path / "changed.ipynb").read_text() != text
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "changed.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "1 failed" in done.stdout and "Error" not in done.stderr, done.stdout
