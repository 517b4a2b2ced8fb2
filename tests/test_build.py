"""The smoke build in a copy of the project without git: killed ten times, resumed by the same command, equal in the end."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from process_table import descendants, gone_within, running
from small_book import ROOT, environment, perturbook

from perturbook.pages.site import gate

pytestmark = pytest.mark.slow

LEFT_OUT = (
    ".git",
    ".venv",
    "build",
    "runs",
    ".snakemake",
    "node_modules",
    "__pycache__",
    "*.egg-info",
    ".*_cache",
)
BUILD = ("build", "--tier", "smoke")
ROUNDS = 10
LONGEST_S = 12.0
SOON_S = 5.0
"""A kernel asks once a second whether its parent lives, later while it starts; everything else within 0.2 s."""
VARIES = re.compile(
    r"0\.\d+\.\d+, (?:no repository|[0-9a-f]{7,40})(?:, with changes not committed)?"
    r"|<td>[\d.]+</td><td>\d+</td><td>\d{4}-\d\d-\d\dT[^<]*</td>"
)
"""What pages say of the commit, which the copy has none of, and of a run's seconds, megabytes and end."""


@pytest.fixture(scope="module")
def whole():
    """`build/smoke` of the project itself, made without interruption; `make test` has made it before."""
    done = perturbook(ROOT, *BUILD)
    assert done.returncode == 0, done.stderr
    return ROOT / "build" / "smoke"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive") / "perturbook"
    return shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))


def engine(build: subprocess.Popen) -> list[int]:
    """The Snakemake process of a build."""
    return [pid for pid in descendants(build.pid) if " snakemake " in running().get(pid, "")][:1]


def kill(build: subprocess.Popen, victim: str) -> set[int]:
    """Kill the build, or its group, or the engine below it, or all at once; return what it had started."""
    started = descendants(build.pid)
    if victim == "group":
        os.killpg(build.pid, signal.SIGKILL)
    elif victim == "everything":
        for pid in (build.pid, *started):
            if pid in running():
                os.kill(pid, signal.SIGKILL)
    else:
        for pid in [build.pid] if victim == "build" else engine(build):
            os.kill(pid, signal.SIGKILL)
    return started


def complete(smoke: Path) -> None:
    """Everything under a final name is whole."""
    for notebook in smoke.glob("pages/[!.]*.ipynb"):
        gate(notebook)
    for manifest in smoke.glob("manifests/[!.]*.json"):
        json.loads(manifest.read_text())
    for bundle in smoke.glob("bundles/[!.]*/truth.h5ad"):
        assert {"manifest.json", "scores.csv.gz"} <= {path.name for path in bundle.parent.iterdir()}


@pytest.fixture(scope="module")
def resumed(copy):
    """The copy after ten killed builds and one that was let alone."""
    rng = np.random.default_rng(0)
    moments = rng.permutation((np.arange(ROUNDS) + rng.uniform(size=ROUNDS)) / ROUNDS * LONGEST_S)
    victims = ["build", "group", "engine", "everything", "build"] * (ROUNDS // 5)
    for moment, victim in zip(moments, victims, strict=True):
        command = [sys.executable, "-m", "perturbook", *BUILD]
        build = subprocess.Popen(
            command, cwd=copy, env=environment(copy), start_new_session=True, stderr=subprocess.DEVNULL
        )
        time.sleep(moment)
        started = kill(build, victim)
        left = gone_within(SOON_S, lambda started=started: started & set(running()))
        assert left, f"after {moment:.1f} s, {victim} killed: {[running().get(pid) for pid in started]}"
        build.wait()
        complete(copy / "build" / "smoke")
    done = perturbook(copy, *BUILD)
    assert done.returncode == 0, done.stderr
    return copy / "build" / "smoke"


def stamps(smoke: Path) -> dict[str, int]:
    return {path.stem: path.stat().st_mtime_ns for path in smoke.glob("pages/*.ipynb")}


def test_the_copy_is_its_own_project(copy):
    code = "from perturbook.pages.table import ROOT; print(ROOT)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(copy), capture_output=True, text=True)
    assert done.stdout.strip() == str(copy)
    assert not (copy / ".git").exists()


def test_killed_builds_leave_no_half_written_file(resumed):
    left = [path for room in ("pages", "bundles", "manifests") for path in (resumed / room).glob(".*")]
    assert left == []


def files(folder: Path) -> dict[str, Path]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != ".snakemake_timestamp"]
    return {path.relative_to(folder).as_posix(): path for path in found}


def about(path: Path) -> dict:
    """A manifest without what differs from run to run."""
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "run"}


@pytest.mark.parametrize("room", ["bundles", "manifests", "pages"])
def test_after_ten_kills_everything_equals_the_uninterrupted_build(resumed, whole, room):
    mine, theirs = files(resumed / room), files(whole / room)
    assert set(mine) == set(theirs) and mine
    for name, path in mine.items():
        if path.suffix == ".json":
            assert about(path) == about(theirs[name]), name
        elif path.suffix == ".ipynb":
            assert VARIES.sub("", path.read_text()) == VARIES.sub("", theirs[name].read_text()), name
        else:
            assert path.read_bytes() == theirs[name].read_bytes(), name


def test_a_further_build_runs_nothing_in_seconds(resumed, copy):
    before, started = stamps(resumed), time.monotonic()
    assert perturbook(copy, *BUILD).returncode == 0
    assert time.monotonic() - started < 10
    assert stamps(resumed) == before
    assert "Nothing to be done" in (resumed / "snakemake.log").read_text()


def test_after_one_changed_parameter_only_its_page_and_its_dependants_run(resumed, copy):
    before = stamps(resumed)
    table = copy / "book" / "pages.yml"
    changed = yaml.safe_load(table.read_text())
    next(one for one in changed["pages"] if one["id"] == "kang-zero-shot")["smoke"]["resamples"] = 900
    table.write_text(yaml.safe_dump(changed, sort_keys=False))
    done = perturbook(copy, *BUILD)
    assert done.returncode == 0, done.stderr
    after = stamps(resumed)
    assert {name for name in after if after[name] != before[name]} == {
        "kang-zero-shot",
        "leaderboard",
        "provenance",
    }
