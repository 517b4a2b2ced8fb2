"""Parameters of a notebook: read from its `parameters` cell, and checked before a kernel starts."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nbformat
import yaml

from perturbook.errors import ConfigError
from perturbook.pages.table import ROOT

KINDS = {"int": int, "float": (int, float), "str": str, "bool": bool, "list[str]": list, "list[int]": list}


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
    found = [_parameter(path.name, line) for line in cells[0].source.splitlines() if line.strip()]
    return {parameter.name: parameter for parameter in found}


def _parameter(notebook: str, line: str) -> Parameter:
    """One line of a parameters cell; raises ConfigError where it is not `name: kind = literal  # help`."""
    code, _, help_ = line.rpartition("  # ")
    try:
        node = ast.parse(code).body[0]
        kind, default = ast.unparse(node.annotation), ast.literal_eval(node.value)
        right = kind in KINDS and _is(kind, default)
    except (AttributeError, IndexError, SyntaxError, ValueError):
        right = False
    if not right:
        raise ConfigError(
            f"{notebook}: parameter line {line!r} must read `name: kind = literal  # help`, kind one of {', '.join(KINDS)}."
        )
    return Parameter(node.target.id, kind, default, help_)


def _is(kind: str, value: Any) -> bool:
    """Whether a value is of a kind: a whole number is a float too, True is no number, a list holds one kind only."""
    if isinstance(value, bool) or not isinstance(value, KINDS[kind]):
        return kind == "bool" and isinstance(value, bool)
    return not kind.startswith("list") or all(_is(kind[5:-1], one) for one in value)


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
        if not _is(known[name].kind, value):
            raise ConfigError(
                f"Parameter {name} must be {known[name].kind}, not {value!r}. It is: {known[name].help}."
            )
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
            why = " ".join(str(error).split())
            raise ConfigError(f"The value of {name}, {value!r}, cannot be read: {why}.") from error
    return given
