"""A project in small: this package, its Snakefile and configuration, around a table of three pages made by hand."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONHASHSEED": "0"}
"""What every process of a test is started with."""

TABLE = {
    "pages": [
        {"id": "intro", "title": "Introduction", "part": "Start", "tier": "smoke"},
        {"id": "count", "title": "Counting", "part": "Numbers", "tier": "smoke", "notebook": "count"},
        {
            "id": "far",
            "title": "Counting far",
            "part": "Numbers",
            "tier": "smoke",
            "notebook": "count",
            "parameters": {"last": 5},
        },
    ]
}
COUNT = [
    ("markdown", "(@@id@@)=\n# @@title@@\n\nWe count in $\\mathbb{E}[x]$."),
    ("parameters", "last: int = 3  # the number where counting ends"),
    ("code", "assert last < 100, f'{last} is too far'\nlist(range(last))"),
]


def notebook(cells: list[tuple[str, str]]) -> nbformat.NotebookNode:
    """A notebook of (kind, source); kind is markdown, code or parameters."""
    make = {"markdown": nbformat.v4.new_markdown_cell}
    made = [make.get(kind, nbformat.v4.new_code_cell)(source) for kind, source in cells]
    for i, (cell, (kind, _)) in enumerate(zip(made, cells, strict=True)):
        cell.id = f"cell-{i}"
        cell.metadata.tags = [kind] if kind == "parameters" else []
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": spec})


def write_table(folder: Path, table: dict) -> None:
    """Write `book/pages.yml`."""
    (folder / "book" / "pages.yml").write_text(yaml.safe_dump(table, sort_keys=False))


def make(
    folder: Path, table: dict = TABLE, intro: str = "# Introduction\n\n{ref}`count`, {ref}`far`.\n"
) -> Path:
    """Lay the project out below `folder` and return it."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(ROOT / "book" / "_static", folder / "book" / "_static")
    for name in ("Snakefile", "_config.yml", "constraints.txt", "book/references.bib"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "book" / "intro.md").write_text(intro)
    (folder / "notebooks").mkdir()
    nbformat.write(notebook(COUNT), folder / "notebooks" / "count.ipynb")
    write_table(folder, table)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Environment in which `folder` is the project."""
    return {**ENVIRONMENT, "PYTHONPATH": str(folder / "src")}


def perturbook(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """Run the command line in the project at `folder`."""
    command = [sys.executable, "-m", "perturbook", *words]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True)
