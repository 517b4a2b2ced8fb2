"""Make the notebooks of `tests/notebooks/`, which nbval runs again: `python tests/make_references.py [PAGE ...]`.

A reference is a page of the smoke build as it is run, one page for every notebook. Its code is the notebook's. Outputs
are kept, and compared, where the notebook's cell has the tag `reference`: tables of scores and audits. All other code
cells must run without an error and may print what they like.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat

from perturbook import threads
from perturbook.pages import runner
from perturbook.pages.table import ROOT, in_tier
from perturbook.pages.table import page as page_of

FOLDER = Path(__file__).parent / "notebooks"
COMPARED, IGNORED = "reference", "nbval-ignore-output"
SMOKE = [one for one in in_tier("smoke") if one.notebook]
PAGES = [one.id for one in SMOKE if one.scored or one == next(p for p in SMOKE if p.notebook == one.notebook)]
"""Every setting page of the smoke build, and one page of every other notebook."""


def prepare(page: str) -> nbformat.NotebookNode:
    """The notebook of a page as the smoke build runs it, except that it names no folder."""
    one = page_of(page)
    given = {name: value for name, value in one.parameters_at("smoke").items() if name != "out"}
    if "page" in runner.parameters.parameters(one.notebook):
        given["page"] = page
    ready = runner.prepare(one, given)
    ready.metadata = {"kernelspec": ready.metadata.kernelspec}
    for cell in ready.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags if COMPARED in tags or cell.cell_type != "code" else [*tags, IGNORED]}
    return ready


def make(page: str) -> Path:
    """Run the notebook of a page and keep the outputs that are compared."""
    ready = prepare(page)
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "source.ipynb", Path(folder) / "made.ipynb"
        nbformat.write(ready, source)
        os.environ.update(threads.ENVIRONMENT)
        runner.main(str(source), str(made))
        executed = nbformat.read(made, as_version=4)
    for cell, kept in zip(executed.cells, ready.cells, strict=True):
        cell.metadata = kept.metadata
        if cell.cell_type == "code" and COMPARED not in cell.metadata.tags:
            cell.outputs, cell.execution_count = [], None
    executed.metadata = ready.metadata
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{page}.ipynb"
    nbformat.write(executed, path)
    return path.relative_to(ROOT)


if __name__ == "__main__":
    for name in sys.argv[1:] or PAGES:
        print(make(name))
