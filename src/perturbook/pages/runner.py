"""Execute one page: check its parameters, fill its tokens, run papermill, and move what came out into place."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from perturbook.errors import PerturbookError
from perturbook.pages import parameters
from perturbook.pages.table import ROOT, Page
from perturbook.processes import run_module
from perturbook.threads import ENVIRONMENT

TIME_LIMIT_S, FULL_TIME_LIMIT_S = 1_800, 14_400
"""Seconds that a page may take, and one of the tier `full`, which may train a model."""
TOKEN = re.compile(r"@@\w+@@")


def prepare(page: Page, given: Mapping[str, Any]) -> nbformat.NotebookNode:
    """The page's notebook with tokens filled and parameters injected, ready to run.

    Tokens are replaced as plain text in Markdown cells, so that braces of formulas survive. The injected cell is
    hidden like the parameters cell.

    Raises:
        ConfigError: see `parameters.check`.
        PerturbookError: a token has no text.
    """
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    values = parameters.check(page.notebook, given)
    notebook = load_notebook_node(str(ROOT / "notebooks" / f"{page.notebook}.ipynb"))
    text = {"id": page.id, "title": page.title, **page.text}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for name, words in text.items():
                cell.source = cell.source.replace(f"@@{name}@@", words.strip())
            if left := TOKEN.search(cell.source):
                raise PerturbookError(
                    f"Page {page.id}: no text for {left[0]}; add it under `text` in book/pages.yml."
                )
    notebook = parameterize_notebook(notebook, values)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("remove-cell")
            cell.id = "injected-parameters"
    return notebook


def execute(page: Page, given: Mapping[str, Any], notebook: Path, log: Path) -> Path:
    """Run a page in a process group of its own and put the executed notebook at `notebook`, whole or not at all.

    Args:
        page: the page.
        given: its parameters; an `out` among them names the folder of its bundle.
        notebook: where the executed notebook goes.
        log: where papermill's output goes; a failed notebook is kept beside it.

    Raises:
        PerturbookError: a cell failed or the time limit passed; the message holds the cell's own error.
    """
    ready, limit = prepare(page, given), FULL_TIME_LIMIT_S if page.tier == "full" else TIME_LIMIT_S
    notebook.parent.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{page.id}-", dir=notebook.parent) as folder:
        source, made = Path(folder) / "source.ipynb", Path(folder) / "made.ipynb"
        nbformat.write(ready, source)
        failed = log.with_suffix(".failed.ipynb")
        failed.unlink(missing_ok=True)
        try:
            code = run_module(__spec__.name, [str(source), str(made)], log, ENVIRONMENT, limit)
            why = _reason(made, log) if code or not made.is_file() else ""
        except subprocess.TimeoutExpired:
            why = f"it took longer than {limit:,} seconds."
        if why:
            shutil.copy(made if made.is_file() else source, failed)
            raise PerturbookError(f"Page {page.id} failed: {why} The notebook is {failed}, the log {log}.")
        made.replace(notebook)
    return notebook


def _reason(made: Path, log: Path) -> str:
    """The failed cell's own error, or the last line of the log."""
    if made.is_file():
        for cell in nbformat.read(made, as_version=4).cells:
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    return f"{output.ename}: {output.evalue}"
    lines = log.read_text().strip().splitlines()
    return lines[-1] if lines else "it ended without a word."


def finish(made: Path) -> None:
    """Take times and machine words out of an executed notebook, so that two builds of one source are equal."""
    notebook = nbformat.read(made, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        status = cell.metadata.pop("papermill", {})
        if cell.cell_type == "code" and status.get("status", "completed") != "completed":
            raise PerturbookError(f"{made}: a cell is {status['status']}.")
        cell.metadata.pop("execution", None)
        # stderr holds progress bars and library notes; a warning never reaches a reader
        cell.outputs = (
            [o for o in cell.get("outputs", []) if o.get("name") != "stderr"] if "outputs" in cell else []
        )
        if cell.cell_type != "code":
            cell.pop("outputs")
    made.write_text(json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def main(source: str, made: str) -> None:
    """Run a prepared notebook; the body of the process that `execute` starts."""
    import papermill

    # "immediate": everything is written by then, and a kernel takes most of a second to leave by itself
    papermill.execute_notebook(
        source, made, kernel_name="python3", progress_bar=False, cwd=str(ROOT), shutdown_kernel="immediate"
    )
    finish(Path(made))


if __name__ == "__main__":
    main(*sys.argv[1:])
