"""What a piece of code stands on is found by following its imports, and its hash moves with any of them."""

import ast
import inspect
import shutil
from pathlib import Path

import pytest

from perturbook import source
from perturbook.evaluation import METRICS
from perturbook.models import MODELS
from perturbook.source import PACKAGE, closure, imported_by, source_hash

FILES = {
    "__init__.py": "",
    "errors.py": "class Bad(ValueError): ...\n",
    "data/__init__.py": "from perturbook.data.load import load\n",
    "data/load.py": "import numpy\nfrom perturbook.errors import Bad\n",
    "data/other.py": "",
    "models/__init__.py": "",
    "models/mine.py": "def fit():\n    from perturbook.data import load\n",
    "models/round.py": "import perturbook.models.about\n",
    "models/about.py": "from perturbook.models import round\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package that is called perturbook too."""
    root = tmp_path / "perturbook"
    for name, code in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(code)
    monkeypatch.setattr(source, "PACKAGE", root)
    source._imports.cache_clear()
    yield root
    source._imports.cache_clear()


def names(root, *starts):
    return [path.relative_to(root).as_posix() for path in closure(*(root / start for start in starts))]


def test_imports_are_followed_through_packages_and_into_functions_and_other_packages_are_not(package):
    assert names(package, "models/mine.py") == [
        "data/__init__.py",
        "data/load.py",
        "errors.py",
        "models/mine.py",
    ]


def test_a_circle_of_imports_ends(package):
    assert names(package, "models/round.py") == ["models/__init__.py", "models/about.py", "models/round.py"]


def test_several_starts_share_one_closure(package):
    assert names(package, "data/other.py", "errors.py") == ["data/other.py", "errors.py"]


@pytest.mark.parametrize("changed", ["models/mine.py", "data/__init__.py", "data/load.py", "errors.py"])
def test_the_hash_changes_with_every_file_that_is_imported(package, changed):
    before = source_hash(package / "models/mine.py")
    (package / changed).write_text((package / changed).read_text() + "# changed\n")
    assert source_hash(package / "models/mine.py") != before


@pytest.mark.parametrize("changed", ["data/other.py", "models/round.py", "models/__init__.py"])
def test_the_hash_does_not_change_with_other_files(package, changed):
    before = source_hash(package / "models/mine.py")
    (package / changed).write_text("x = 1\n")
    assert source_hash(package / "models/mine.py") == before


def test_an_import_that_was_added_is_followed_in_the_same_process(package):
    before = source_hash(package / "models/mine.py")
    (package / "data/load.py").write_text("from perturbook.data import other\n")
    assert "data/other.py" in names(package, "models/mine.py")
    first = source_hash(package / "models/mine.py")
    (package / "data/other.py").write_text("x = 1\n")
    assert len({before, first, source_hash(package / "models/mine.py")}) == 3


def test_the_hash_depends_on_neither_the_place_of_the_package_nor_the_order_of_starts(package, monkeypatch):
    before = source_hash(package / "models/mine.py", package / "data/other.py")
    moved = package.parent / "elsewhere" / "perturbook"
    shutil.copytree(package, moved)
    monkeypatch.setattr(source, "PACKAGE", moved)
    source._imports.cache_clear()
    assert source_hash(moved / "data/other.py", moved / "models/mine.py") == before


def test_a_reader_s_own_file_outside_the_package_is_hashed_with_what_it_imports(package, tmp_path):
    mine = tmp_path / "my_model.py"
    mine.write_text("from perturbook.data.load import load\n")
    before = source_hash(mine)
    (package / "data/load.py").write_text("x = 1\n")
    assert source_hash(mine) != before


def test_a_tree_of_statements_gives_the_files_it_names(package):
    tree = ast.parse("import os\nimport perturbook.errors as e\nfrom perturbook import data, nothing\n")
    assert imported_by(tree) == {package / name for name in ("errors.py", "__init__.py", "data/__init__.py")}


def test_touching_one_model_leaves_the_others_alone():
    """A page's rule depends on the models it names: none may stand on all of them."""
    files = {name: Path(inspect.getfile(made)) for name, made in MODELS.items()}
    for name, path in files.items():
        others = {one for one in files.values() if one != path}
        assert len(others & set(closure(path))) <= 2, name  # its parent classes, or the floor it adds to


def test_no_file_of_the_evaluation_stands_on_a_model_or_a_page():
    for metric in METRICS.values():
        rooms = {
            path.relative_to(PACKAGE).parts[0] for path in closure(Path(inspect.getfile(metric.compute)))
        }
        assert not rooms & {"models", "pages", "cli.py"}


def test_no_file_of_the_package_uses_relative_imports_which_would_not_be_followed():
    for path in PACKAGE.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        assert not [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level], path
