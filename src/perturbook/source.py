"""Which of our files a piece of code stands on: the imports, followed through the package."""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


@cache
def _imports(code: str) -> frozenset[Path]:
    """Files of the package that `code` imports, at the top or inside functions; kept by text, so never out of date."""
    return frozenset(imported_by(ast.parse(code)))


def imported_by(tree: ast.AST) -> set[Path]:
    """Files of the package named by the import statements of a syntax tree."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE.name:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE.name}
    stems = [PACKAGE.joinpath(*name.split(".")[1:]) for name in names]
    return {
        file for stem in stems for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()
    }


def closure(*starts: Path) -> list[Path]:
    """`starts` and every file of the package they import, directly or not, sorted."""
    seen: set[Path] = set()
    todo = [Path(start) for start in starts]
    while todo:
        if (path := todo.pop()) not in seen:
            seen.add(path)
            todo += _imports(path.read_text())
    return sorted(seen)


def source_hash(*starts: Path) -> str:
    """sha256 over names and text of the closure of `starts`; a reader's own file, outside the package, by its bare name."""
    total = hashlib.sha256()
    for path in closure(*starts):
        name = path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else path.name
        total.update(name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()
