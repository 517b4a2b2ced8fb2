"""Which files of the data room a simulator's result depends on: its code stands where others have a public file."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path

ROOM = "perturbook.data."
PLUMBING = ("cache.py", "dataset.py", "download.py", "fetch.py", "folders.py", "trust.py")
"""Files that move bytes and names but decide no value: a change there is not a change of the data."""


def source_files(prepare: Callable) -> list[Path]:
    """The file that defines `prepare`, the files of this room it imports, and the tables it names, sorted by name.

    A table counts as named where the code holds its file name as a text constant.
    """
    found: set[Path] = set()
    waiting = [Path(inspect.getsourcefile(prepare))]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix == ".py":
            waiting += [neighbour for neighbour in _named(path) if neighbour.is_file()]
    return sorted(found, key=lambda path: path.name)


def _named(path: Path) -> list[Path]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(ROOM):
            names.append(node.module.removeprefix(ROOM) + ".py")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".tsv"):
            names.append(node.value)
    return [path.parent / name for name in names if "/" not in name and name not in PLUMBING]
