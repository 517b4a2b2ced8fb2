"""The scGPT checkpoint: a folder a person fetches; found, compared, explained, and never opened."""

import hashlib
from dataclasses import replace

import pytest

import perturbook.data as data
from perturbook import cli_data
from perturbook.data.dataset import DATASETS
from perturbook.data.scgpt_human import DRIVE, NAME
from perturbook.data.trust import pinned
from perturbook.errors import DataUnavailable, InputError

PICKLE = b"cos\nsystem\n(S'exit 1'\ntR."  # runs a command where it is unpickled


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the checkpoint in an offline folder, with small files of our own under the registry's names."""
    monkeypatch.setenv("PERTURBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PERTURBOOK_MIRROR", str(tmp_path))
    folder = tmp_path / NAME
    folder.mkdir()
    contents = {"args.json": b"{}", "vocab.json": b'{"<pad>": 0}', "best_model.pt": PICKLE}
    files = []
    for file in DATASETS[NAME].files:
        (folder / file.name).write_bytes(contents[file.name])
        digest = hashlib.sha256(contents[file.name]).hexdigest()
        files.append(
            replace(file, sha256=digest, size=0) if file.sha256 else replace(file, listed=f"sha256:{digest}")
        )
    monkeypatch.setitem(DATASETS, NAME, replace(DATASETS[NAME], files=tuple(files)))
    return folder


def test_the_folder_is_found_and_its_checksums_are_told_apart(folder):
    assert data.available(NAME) and data.load(NAME) == folder
    said = data.verify(NAME)
    assert said["args.json"] == said["vocab.json"] == "checksum right"
    assert said["best_model.pt"].startswith("best_model.pt: sha256 as listed by a public experiment log")
    assert (folder / "best_model.pt").read_bytes() == PICKLE


def test_other_weights_are_said_to_differ_and_other_sizes_refused(folder):
    (folder / "best_model.pt").write_bytes(PICKLE + b"!")
    with pytest.warns(UserWarning, match="best_model.pt differs from the listing of a public experiment log"):
        data.load(NAME)
    (folder / "args.json").write_bytes(b"{ }")
    with pytest.raises(InputError, match="args.json is not args.json: its sha256 is .* expected"):
        data.load(NAME)


def test_files_in_two_folders_are_refused(folder, tmp_path):
    other = tmp_path / "cache" / NAME
    other.mkdir(parents=True)
    (folder / "args.json").rename(other / "args.json")
    with pytest.raises(InputError, match="must lie in one folder"):
        data.load(NAME)


def test_fetch_says_where_to_get_it_and_where_to_put_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PERTURBOOK_CACHE", str(tmp_path))
    monkeypatch.delenv("PERTURBOOK_MIRROR", raising=False)
    with pytest.raises(DataUnavailable) as why:
        cli_data.data_fetch([NAME])
    said = capsys.readouterr().out
    for file in DATASETS[NAME].files:
        assert f"{NAME}: {file.name}, {file.size_text}, {file.listed or 'sha256:' + file.sha256}" in said
    assert f"get it from {DRIVE} and put it at {tmp_path / NAME / 'args.json'}" in str(why.value)
    assert not data.available(NAME)


def test_the_first_load_pins_the_weights(folder):
    data.load(NAME)
    weights = DATASETS[NAME].files[2]
    assert pinned(weights) == hashlib.sha256(PICKLE).hexdigest()
