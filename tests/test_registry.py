"""A registry is a dictionary that explains itself, filled where the things are defined."""

import sys
from types import SimpleNamespace

import pytest

from perturbook.data import DATASETS
from perturbook.errors import ConfigError, PerturbookError
from perturbook.evaluation import METRICS
from perturbook.models import MODELS
from perturbook.registry import Registry, import_files
from perturbook.splits import SETTINGS


def test_an_entry_is_found_under_its_name_and_the_decorator_returns_what_it_was_given():
    registry = Registry("model")

    @registry.register("one")
    def one():
        return 1

    assert registry["one"] is one and one() == 1 and list(registry) == ["one"]


def test_an_unknown_name_is_refused_with_the_known_ones_in_order():
    registry = Registry("metric")
    registry.add("b", 1)
    registry.add("a", 2)
    with pytest.raises(ConfigError, match=r"^Unknown metric 'c'\. Known: a, b\.$"):
        registry["c"]


def test_asking_whether_a_name_is_known_raises_nothing():
    registry = Registry("metric")
    assert "c" not in registry and registry.get("c") is None


def test_a_second_entry_under_one_name_is_refused_and_the_first_stays():
    registry = Registry("setting")
    registry.add("a", 1)
    with pytest.raises(ConfigError, match="setting 'a' is registered twice"):
        registry.add("a", 2)
    assert registry["a"] == 1


@pytest.mark.parametrize("registry", [DATASETS, SETTINGS, MODELS, METRICS], ids=lambda one: one.kind)
def test_every_registry_of_the_book_is_filled_on_import_and_its_refusal_is_a_message_of_ours(registry):
    assert len(registry) >= 3
    with pytest.raises(PerturbookError, match=f"Unknown {registry.kind} 'nobody'"):
        registry["nobody"]


def test_a_file_dropped_into_a_room_is_imported_without_a_second_list(tmp_path, monkeypatch):
    room = tmp_path / "my_room"
    room.mkdir()
    (room / "__init__.py").write_text("found = []\n")
    for name in ("one", "two"):
        (room / f"{name}.py").write_text(f"from my_room import found\nfound.append({name!r})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import my_room

    import_files(my_room)
    assert sorted(my_room.found) == ["one", "two"]
    import_files(my_room)  # a second call imports nothing twice
    assert len(my_room.found) == 2
    for name in ("my_room", "my_room.one", "my_room.two"):
        monkeypatch.delitem(sys.modules, name)


def test_a_room_without_files_is_left_alone(tmp_path):
    import_files(SimpleNamespace(__path__=[str(tmp_path)], __name__="nothing"))
