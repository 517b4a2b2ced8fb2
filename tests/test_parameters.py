"""Parameters of a notebook: every line found, every name and type checked before a kernel starts."""

import ast
import json

import nbformat
import pytest
from small_book import ROOT, notebook

from perturbook.errors import ConfigError
from perturbook.pages import parameters

CELL = """count: int = 3  # how many
share: float = 0.5  # which part
name: str = "a # b"  # what it is called
quick: bool = False  # whether to hurry
drugs: list[str] = ["A", "B"]  # which ones"""
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Put a notebook with this parameters cell where the project's notebooks are looked for; returns its name."""
    monkeypatch.setattr(parameters, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()

    def make(source=CELL, cells=None):
        nbformat.write(notebook(cells or [("parameters", source)]), tmp_path / "notebooks" / "one.ipynb")
        return "one"

    return make


def test_a_line_gives_name_kind_default_and_help(made):
    found = parameters.parameters(made())
    assert [(p.name, p.kind, p.default, p.help) for p in found.values()] == [
        ("count", "int", 3, "how many"),
        ("share", "float", 0.5, "which part"),
        ("name", "str", "a # b", "what it is called"),
        ("quick", "bool", False, "whether to hurry"),
        ("drugs", "list[str]", ["A", "B"], "which ones"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "count = 3  # no annotation",
        "count: int = 3",
        "count: int  # no default",
        "count: int | None = None  # a union",
        "count: tuple[int, ...] = ()  # a tuple",
        "count: int = 'a'  # the default is of another kind",
        "count: bool = 1  # a number is no truth value",
        "drugs: list[str] = [1]  # a list of numbers",
        "count: int = 1 + 1  # no literal",
        "count: int = other  # a name",
        "drugs: list[",
        "print(3)  # a call",
    ],
)
def test_a_line_of_another_form_is_refused_and_shown(made, line):
    with pytest.raises(
        ConfigError, match=r"must read `name: kind = literal  # help`, kind one of int, float"
    ) as error:
        parameters.parameters(made(CELL + "\n" + line))
    assert repr(line) in str(error.value) and "\n" not in str(error.value)


def test_a_notebook_has_exactly_one_parameters_cell(made):
    with pytest.raises(ConfigError, match=r"one.ipynb has 0 cells tagged parameters; it needs one"):
        parameters.parameters(made(cells=[("code", "x = 1")]))
    with pytest.raises(ConfigError, match="has 2 cells tagged parameters"):
        parameters.parameters(made(cells=[("parameters", CELL), ("parameters", CELL)]))


def test_an_unknown_notebook_is_answered_with_the_known_ones(made):
    made()
    with pytest.raises(ConfigError, match="no notebook 'two'. Notebooks: one"):
        parameters.parameters("two")


def test_what_is_not_given_keeps_its_default(made):
    values = parameters.check(made(), {"count": 7})
    assert values == {"count": 7, "share": 0.5, "name": "a # b", "quick": False, "drugs": ["A", "B"]}


def test_an_unknown_name_is_answered_with_names_and_kinds(made):
    message = r"Unknown parameter typo. one knows: count \(int\); share \(float\); name \(str\); quick \(bool\); drugs \(list\[str\]\)"
    with pytest.raises(ConfigError, match=message):
        parameters.check(made(), {"typo": 1})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", "3", "count must be int, not '3'. It is: how many"),
        ("count", 3.0, "count must be int, not 3.0"),
        ("count", True, "count must be int, not True"),
        ("count", None, "count must be int, not None"),
        ("share", "half", "share must be float, not 'half'. It is: which part"),
        ("share", False, "share must be float, not False"),
        ("name", 3, "name must be str, not 3. It is: what it is called"),
        ("quick", 1, "quick must be bool, not 1. It is: whether to hurry"),
        ("quick", "yes", "quick must be bool, not 'yes'"),
        ("drugs", "A", r"drugs must be list\[str\], not 'A'. It is: which ones"),
        ("drugs", ["A", 2], r"drugs must be list\[str\], not \['A', 2\]"),
        ("drugs", [True], r"drugs must be list\[str\], not \[True\]"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_the_parameters_help(made, name, value, message):
    with pytest.raises(ConfigError, match=message):
        parameters.check(made(), {name: value})


@pytest.mark.parametrize(("name", "value"), [("share", 1), ("drugs", []), ("quick", True), ("name", "")])
def test_a_whole_number_is_a_float_and_an_empty_list_or_text_is_allowed(made, name, value):
    assert parameters.check(made(), {name: value})[name] == value


def test_texts_of_the_command_line_are_read_as_yaml():
    texts = ["count=3", "share=0.5", "name=a=b", "quick=true", "drugs=[A, B C]", "empty="]
    assert parameters.from_text(texts) == {
        "count": 3,
        "share": 0.5,
        "name": "a=b",
        "quick": True,
        "drugs": ["A", "B C"],
        "empty": "",
    }


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["seed"], "'seed' is not name=value, such as -p seed=1"),
        (["=1"], "'=1' is not name=value"),
        (["a b=1"], "'a b=1' is not name=value"),
        (["seed=1", "seed=2"], "Parameter seed is given twice"),
        (["drugs=[A, B"], r"The value of drugs, '\[A, B', cannot be read: while parsing"),
        (["name=*x"], r"The value of name, '\*x', cannot be read"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_in_one_line(texts, message):
    with pytest.raises(ConfigError, match=message) as error:
        parameters.from_text(texts)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_assignment_of_a_parameters_cell_is_found_with_a_help_that_reads(path):
    cells = json.loads(path.read_text())["cells"]
    (source,) = ["".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", [])]
    assigned = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Assign | ast.AnnAssign)]
    found = parameters.parameters(path.stem)
    assert len(found) == len(assigned)
    assert all(len(p.help.split()) >= 1 and p.help[0].islower() for p in found.values())
