"""Parameters of a notebook: read from its `parameters` cell, and checked before a kernel starts."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nbformat
import yaml

from perturbook.errors import ConfigError
from perturbook.pages.table import ROOT

KINDS = {"int": int, "float": (int, float), "str": str, "bool": bool, "list[str]": list}


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell."""

    name: str
    """Name."""
    kind: str
    """Annotation, a key of `KINDS`."""
    default: Any
    """Value where none is given."""
    help: str
    """The comment behind it."""


def parameters(notebook: str) -> dict[str, Parameter]:
    """Parameters of `notebooks/<notebook>.ipynb`, in their order.

    papermill's own inspection silently drops annotations that it does not understand, so the cell is parsed here.

    Raises:
        ConfigError: no such notebook, no parameters cell, or a line that is not `name: kind = literal  # help`.
    """
    path = ROOT / "notebooks" / f"{notebook}.ipynb"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.ipynb")))
        raise ConfigError(f"There is no notebook {notebook!r}. Notebooks: {known}.")
    cells = [c for c in nbformat.read(path, as_version=4).cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ConfigError(f"{path.name} has {len(cells)} cells tagged parameters; it needs one.")
    source, found = cells[0].source, {}
    for node in ast.parse(source).body:
        line = source.splitlines()[node.lineno - 1]
        kind = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
        if kind not in KINDS or node.end_lineno != node.lineno or "  # " not in line:
            raise ConfigError(
                f"{path.name}: parameter line {line!r} must read `name: kind = literal  # help`, kind one of {', '.join(KINDS)}."
            )
        help_ = line.rsplit("  # ", 1)[1]
        found[node.target.id] = Parameter(node.target.id, kind, ast.literal_eval(node.value), help_)
    return found


def check(notebook: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a run: defaults overridden by `given`, every name and type checked.

    Raises:
        ConfigError: an unknown name, or a value of another type; the message lists what is allowed.
    """
    known = parameters(notebook)
    if unknown := sorted(set(given) - set(known)):
        listed = "; ".join(f"{p.name} ({p.kind})" for p in known.values())
        raise ConfigError(f"Unknown parameter {', '.join(unknown)}. {notebook} knows: {listed}.")
    for name, value in given.items():
        kind = known[name].kind
        right = isinstance(value, KINDS[kind]) and (kind == "bool" or not isinstance(value, bool))
        if kind == "list[str]" and right:
            right = all(isinstance(one, str) for one in value)
        if not right:
            raise ConfigError(f"Parameter {name} must be {kind}, not {value!r}. It is: {known[name].help}.")
    return {name: given.get(name, parameter.default) for name, parameter in known.items()}


def from_text(assignments: list[str]) -> dict[str, Any]:
    """Read `name=value` texts of a command line; values are YAML, so `[A, B]` is a list and `3` a number.

    Raises:
        ConfigError: a text without `=`, a name given twice, or a value that is not YAML.
    """
    given: dict[str, Any] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigError(f"{text!r} is not name=value, such as -p seed=1 or -p 'held_out=[B, NK]'.")
        if name in given:
            raise ConfigError(f"Parameter {name} is given twice.")
        try:
            given[name] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise ConfigError(f"The value of {name}, {value!r}, cannot be read: {error}.") from error
    return given
