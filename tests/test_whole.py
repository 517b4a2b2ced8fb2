"""A folder appears whole under its name, or what was there before stays."""

import pytest

from perturbook.whole import whole_folder


def test_a_folder_appears_with_all_its_files_and_replaces_the_one_of_before(tmp_path):
    for name in ("old", "new"):
        with whole_folder(tmp_path / "kept") as making:
            (making / name).write_text(name)
            assert not (tmp_path / "kept" / name).exists()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["kept", "kept/new"]


def test_an_error_leaves_the_folder_of_before_and_no_trace_beside_it(tmp_path):
    with whole_folder(tmp_path / "kept") as making:
        (making / "old").write_text("old")
    with pytest.raises(KeyError), whole_folder(tmp_path / "kept") as making:
        (making / "new").write_text("new")
        raise KeyError("half-way")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["kept", "kept/old"]


def test_what_a_killed_process_of_the_same_number_left_is_not_taken_over(tmp_path):
    with whole_folder(tmp_path / "kept") as making:
        name = making.name
    (tmp_path / name).mkdir()
    (tmp_path / name / "stale").write_text("stale")
    with whole_folder(tmp_path / "kept") as making:
        (making / "new").write_text("new")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["new"]
