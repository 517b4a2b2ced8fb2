"""Fetching: files are known by their checksum, downloads resume, and nothing unverified is ever opened."""

import hashlib
import http.server
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import requests

import perturbook.data as data
from perturbook.data import download as downloads
from perturbook.data.cache import cache_folder, file_sha256, find
from perturbook.data.dataset import DATASETS, Dataset, PublicFile
from perturbook.data.download import download
from perturbook.errors import ConfigError, DataUnavailable, InputError

BYTES = bytes(range(256)) * 4000  # about 1 MB
SHA256 = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """An empty cache and an empty offline folder."""
    cache, mirror = tmp_path / "cache", tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("PERTURBOOK_CACHE", str(cache))
    monkeypatch.setenv("PERTURBOOK_MIRROR", str(mirror))
    return cache, mirror


@pytest.fixture
def server(monkeypatch):
    """A local server of `BYTES`; `faults` lists what it does wrong, one per request, before it behaves."""
    state = type("State", (), {"faults": [], "ranges": [], "encodings": set(), "body": BYTES})()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            state.ranges.append(asked)
            state.encodings.add(self.headers.get("Accept-Encoding"))
            fault = state.faults.pop(0) if state.faults else None
            if isinstance(fault, int):
                return self.send_error(fault)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and fault != "ignore range" else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(state.body) - start))
            self.end_headers()
            body = state.body[start:]
            self.wfile.write(body[: len(body) // 3] if fault == "break off" else body)

        def log_message(self, *args):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloads, "PAUSE_S", 0.0)
    state.url = f"http://127.0.0.1:{running.server_port}/file.bin"
    yield state
    running.shutdown()
    running.server_close()


def public(url="http://127.0.0.1:9/file.bin", name="file.bin"):
    return PublicFile(name=name, url=url, sha256=SHA256, size=len(BYTES), licence="none")


@pytest.fixture
def entry(server):
    """A registry entry whose preparation returns the bytes of its one file."""
    name = "made-for-a-test"
    DATASETS.add(
        name,
        Dataset(
            name=name,
            title="",
            prepare=lambda path: path.read_bytes(),
            files=(public(server.url),),
            cells=False,
        ),
    )
    yield name
    del DATASETS[name]


@pytest.fixture
def full_size_entry(entry):
    """The same entry, marked as full size."""
    DATASETS[entry] = replace(DATASETS[entry], full_size=True)
    return entry


def test_a_download_is_verified_and_then_found_without_asking_again(folders, server, entry, capsys):
    assert not data.available(entry)
    assert data.load(entry) == BYTES
    assert data.load(entry) == BYTES
    assert server.ranges == [None]
    assert data.available(entry) and data.verify(entry) == {"file.bin": "checksum right"}
    assert {path.name for path in folders[0].iterdir()} == {"file.bin", "file.bin.lock"}
    assert "file.bin: 0.0 of 1.0 MB" in capsys.readouterr().err


def test_a_connection_that_breaks_is_resumed_where_it_stopped(folders, server):
    server.faults = ["break off"]
    assert download(public(server.url), folders[0]).read_bytes() == BYTES
    first, second = server.ranges
    assert first is None
    assert server.encodings == {"identity"}  # byte positions of a compressed transfer would mean nothing
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= len(BYTES) // 3


def test_a_killed_download_is_resumed_by_the_next_process(folders, server):
    folders[0].mkdir()
    (folders[0] / "file.bin.part").write_bytes(BYTES[:1000])
    assert download(public(server.url), folders[0]).read_bytes() == BYTES
    assert server.ranges == ["bytes=1000-"]


def test_a_server_that_ignores_ranges_gives_the_whole_file(folders, server):
    folders[0].mkdir()
    (folders[0] / "file.bin.part").write_bytes(b"x" * 1000)
    server.faults = ["ignore range"]
    assert download(public(server.url), folders[0]).read_bytes() == BYTES


def test_a_server_error_is_tried_again_and_a_missing_page_is_not(folders, server):
    server.faults = [503]
    assert download(public(server.url), folders[0]).read_bytes() == BYTES
    server.faults = [404, 404, 404]
    with pytest.raises(requests.HTTPError):
        download(public(server.url, "other.bin"), folders[0])
    assert len(server.faults) == 2


def test_a_programming_error_is_not_tried_again(folders, server, monkeypatch):
    calls = []

    def broken(*args, **kwargs):
        calls.append(args)
        raise TypeError("a fault of ours")

    monkeypatch.setattr(requests, "get", broken)
    with pytest.raises(TypeError, match="a fault of ours"):
        download(public(server.url), folders[0])
    assert len(calls) == 1


def test_wrong_bytes_from_the_network_are_refused_and_kept_aside(folders, server, entry):
    server.body = b"\1" + BYTES[1:]
    wrong = hashlib.sha256(server.body).hexdigest()
    with pytest.raises(
        InputError, match=f"file.bin.rejected is not file.bin: its sha256 is {wrong}, expected {SHA256}"
    ):
        data.load(entry)
    assert (folders[0] / "file.bin.rejected").read_bytes() == server.body
    assert not (folders[0] / "file.bin").exists()
    server.body = BYTES
    assert data.load(entry) == BYTES


def test_a_flipped_byte_in_the_cache_is_refused_and_left_in_place(folders, server, entry):
    folders[0].mkdir()
    flipped = BYTES[:500] + bytes([BYTES[500] ^ 1]) + BYTES[501:]
    (folders[0] / "file.bin").write_bytes(flipped)
    with pytest.raises(
        InputError, match=f"{hashlib.sha256(flipped).hexdigest()}, expected {SHA256}.*not opened"
    ):
        data.load(entry)
    assert (folders[0] / "file.bin").read_bytes() == flipped
    assert server.ranges == [] and not data.available(entry)


def test_a_file_changed_after_it_was_verified_is_noticed(folders, server, entry):
    data.load(entry)
    (folders[0] / "file.bin").write_bytes(BYTES + b"more")
    with pytest.raises(InputError, match="expected"):
        data.load(entry)


def test_the_offline_folder_is_searched_by_checksum_and_used_in_place(folders, server, entry):
    (folders[1] / "another name").write_bytes(BYTES)
    assert data.fetch(entry) == (folders[1] / "another name",)
    assert data.load(entry) == BYTES and data.available(entry)
    assert server.ranges == [] and not folders[0].exists()


def test_the_right_name_with_wrong_bytes_is_not_used(folders, server, entry):
    (folders[1] / "file.bin").write_bytes(BYTES[::-1])
    assert find(DATASETS[entry].files[0]) is None
    server.faults = [404]
    wrong = hashlib.sha256(BYTES[::-1]).hexdigest()
    with pytest.raises(DataUnavailable, match=f"has a file.bin with sha256 {wrong}, expected {SHA256}"):
        data.load(entry)
    assert data.load(entry) == BYTES


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_without_network_and_offline_folder_one_error_says_what_to_do(name, folders, monkeypatch):
    def offline(*args, **kwargs):
        raise requests.ConnectionError("no route")

    monkeypatch.delenv("PERTURBOOK_MIRROR")
    monkeypatch.setattr(requests, "get", offline)
    monkeypatch.setattr(downloads, "PAUSE_S", 0.0)
    remote = [file for file in DATASETS[name].files if file.url.startswith("https://")]
    if not remote:
        assert data.available(name)
        return
    assert not data.available(name)
    with pytest.raises(DataUnavailable) as caught:
        data.load(name)
    full = DATASETS[name].full_size  # then nothing is asked for, and the message says how to ask
    why = f"perturbook data fetch {name}" if full else "no route"
    for part in (remote[0].url, remote[0].size_text, "PERTURBOOK_MIRROR", why):
        assert part in str(caught.value)
    with pytest.raises(DataUnavailable, match=f"run `perturbook data fetch {name}`"):
        data.verify(name)


def test_a_full_size_file_is_downloaded_only_when_its_user_asks(folders, server, full_size_entry):
    for call in (data.load, data.fetch, data.verify):
        with pytest.raises(DataUnavailable, match=f"{len(BYTES):,} bytes.*run `perturbook data fetch"):
            call(full_size_entry)
    assert not data.available(full_size_entry) and server.ranges == []
    data.fetch(full_size_entry, asked=True)
    assert data.available(full_size_entry) and data.load(full_size_entry) == BYTES


def test_a_build_does_not_download_a_full_size_file(folders, server, full_size_entry, monkeypatch):
    from perturbook.pages import build

    page = type("Page", (), {"parameters_at": lambda self, tier: {"data": full_size_entry}})()
    monkeypatch.setattr(build, "in_tier", lambda tier: [page])
    (said,) = build.fetch_for("full")
    assert "perturbook data fetch" in said and server.ranges == []


def test_fetch_names_size_and_address_before_a_full_size_download(folders, server, full_size_entry, capsys):
    from perturbook import cli_data

    server.faults = [404]
    with pytest.raises(DataUnavailable):
        cli_data.data_fetch([full_size_entry])
    assert f"{len(BYTES):,} bytes, sha256:{SHA256}, from {server.url}" in capsys.readouterr().out


def test_fetch_without_a_name_leaves_the_full_size_ones(full_size_entry, monkeypatch):
    from perturbook import cli_data

    fetched = []
    monkeypatch.setattr(data, "fetch", lambda name, asked: fetched.append(name) or ())
    cli_data.data_fetch()
    full = {name for name, one in DATASETS.items() if one.full_size}
    assert full >= {full_size_entry, "norman2019", "sciplex3", "kang2018", "scgpt-human"}
    assert set(fetched) == set(DATASETS) - full


def test_a_file_of_unknown_size_is_resumed_too(folders, server):
    file = PublicFile(name="file.bin", url=server.url, licence="none")
    server.faults = ["break off"]
    assert download(file, folders[0]).read_bytes() == BYTES
    assert server.ranges[0] is None and server.ranges[1].startswith("bytes=")


def test_a_page_in_place_of_the_file_is_not_kept(folders, server):
    server.faults = [202]
    with pytest.raises(requests.HTTPError, match="202"):
        download(PublicFile(name="file.bin", url=server.url, licence="none"), folders[0])
    assert not (folders[0] / "file.bin").exists()


def test_a_partial_file_longer_than_the_servers_starts_anew(folders, server):
    folders[0].mkdir()
    (folders[0] / "file.bin.part").write_bytes(b"x" * (len(BYTES) + 1))
    server.faults = [416]
    file = PublicFile(name="file.bin", url=server.url, licence="none")
    assert download(file, folders[0]).read_bytes() == BYTES
    assert server.ranges == [f"bytes={len(BYTES) + 1}-", None]


@pytest.mark.parametrize("name", ["../escape", "a/b", "/etc/passwd", "..", "", "a\\b", ".hidden", "a\n"])
def test_a_file_name_cannot_lead_out_of_the_folder(name):
    with pytest.raises(ConfigError, match="not a plain name"):
        public(name=name)
    if name:
        with pytest.raises(ConfigError, match="not a plain name"):
            PublicFile(name="file.bin", folder=name, url="", licence="")


def test_an_offline_folder_that_does_not_exist_is_named(folders, monkeypatch, tmp_path):
    monkeypatch.setenv("PERTURBOOK_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="PERTURBOOK_MIRROR is .*nowhere.* not a folder"):
        find(public())


def test_the_cache_folder_follows_its_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("PERTURBOOK_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("PERTURBOOK_CACHE")
    assert cache_folder().name == "perturbook"


def test_a_file_is_hashed_once_as_long_as_it_does_not_change(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = file_sha256(path)
    monkeypatch.setattr("pooch.file_hash", lambda *args, **kwargs: "computed again")
    assert file_sha256(path) == first == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"other bytes")
    assert file_sha256(path) == "computed again"


def test_checksums_name_one_file_several_files_or_a_simulators_code():
    assert data.checksum("kang2018-mini") == DATASETS["kang2018-mini"].files[0].sha256
    simulated = data.checksum("simulated-drugs")
    assert len(simulated) == 64 and simulated == data.checksum("simulated-drugs")


def test_importing_the_room_is_light():
    code = "import sys, perturbook.data; print([m for m in ('scanpy', 'rdkit', 'requests', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
