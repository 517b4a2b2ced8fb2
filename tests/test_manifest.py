"""A manifest says what a run was made of, tells what may differ from run to run apart, and never an unknown commit."""

import json
import re
import subprocess

import pytest

from perturbook import __version__
from perturbook.errors import PerturbookError
from perturbook.evaluation.manifest import (
    PACKAGES,
    code_version,
    digest,
    manifest,
    read_manifest,
    write_manifest,
)

RUN = {"page": "p", "parameters": {"seed": 3}, "data": {"kang2018-mini": "83f8"}}


def git(root, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "a.txt").write_text("one")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-m", "one")
    return tmp_path


def test_a_manifest_names_page_parameters_data_packages_and_whatever_else_is_given(tmp_path):
    made = manifest(tmp_path, **RUN, audits=[{"checks": 5}], model_sources={"m": "00"})
    assert {key: made[key] for key in RUN} == RUN
    assert made["audits"] == [{"checks": 5}] and made["model_sources"] == {"m": "00"}
    assert set(made["packages"]) == set(PACKAGES)
    assert all(re.match(r"\d+\.", version) for version in made["packages"].values())


def test_only_what_stands_under_run_differs_between_two_runs(tmp_path, monkeypatch):
    first = manifest(tmp_path, **RUN)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    second = manifest(tmp_path, **RUN)
    assert first.pop("run") != second.pop("run") and first == second


def test_the_run_holds_code_python_machine_time_and_memory_without_any_path(tmp_path):
    run = manifest(tmp_path, **RUN)["run"]
    assert set(run) == {"code", "python", "machine", "finished", "peak_memory_mb"}
    assert 10 < run["peak_memory_mb"] < 10**6 and re.match(r"\d{4}-\d\d-\d\dT[\d:]+\+00:00$", run["finished"])
    assert str(tmp_path) not in json.dumps(run)


def test_outside_a_repository_the_version_stands_alone(tmp_path):
    assert code_version(tmp_path) == {"version": __version__, "commit": "no repository"}


def test_in_a_repository_the_commit_has_forty_digits_and_a_changed_file_is_told(repository):
    clean = code_version(repository)
    assert re.fullmatch("[0-9a-f]{40}", clean["commit"]) and clean["dirty"] is False
    (repository / "a.txt").write_text("two")
    assert code_version(repository) == {**clean, "dirty": True}


def test_a_new_deposit_is_no_change_of_the_code(repository):
    (repository / "results").mkdir()
    (repository / "results" / "scores.csv").write_text("one")
    git(repository, "add", "results")
    assert code_version(repository)["dirty"] is False


def test_a_repository_that_cannot_name_its_commit_is_an_error_with_the_reason_of_git(tmp_path):
    git(tmp_path, "init")
    with pytest.raises(PerturbookError, match="cannot name its commit: fatal: .*HEAD"):
        code_version(tmp_path)


def test_a_machine_without_git_is_an_error_where_there_is_a_repository(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PerturbookError, match="cannot name its commit: .*No such file.*git"):
        code_version(repository)


def test_what_is_written_is_read_and_nothing_stays_beside_it(tmp_path):
    path = tmp_path / "new" / "manifest.json"
    write_manifest({"b": 1, "a": [2]}, path)
    assert read_manifest(path) == {"a": [2], "b": 1}
    assert list(path.parent.iterdir()) == [path] and path.read_text().endswith("}\n")


def test_a_manifest_that_cannot_be_written_leaves_the_one_of_before(tmp_path):
    path = tmp_path / "manifest.json"
    write_manifest({"a": 1}, path)
    with pytest.raises(TypeError):
        write_manifest({"a": object()}, path)
    assert read_manifest(path) == {"a": 1} and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, '{"page":', "\x00"])
def test_a_manifest_that_is_missing_or_cut_short_is_refused_by_its_path(tmp_path, content):
    if content is not None:
        (tmp_path / "m.json").write_text(content)
    with pytest.raises(PerturbookError, match=r"m\.json is not a readable manifest"):
        read_manifest(tmp_path / "m.json")


def test_a_digest_names_the_bundle_files_and_no_other(tmp_path):
    (tmp_path / "a.h5ad").write_bytes(b"abc")
    (tmp_path / "scores.csv").write_text("x")
    assert digest(tmp_path) == {"a.h5ad": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
