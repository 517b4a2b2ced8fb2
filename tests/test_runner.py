"""One page from source to executed notebook: tokens, hidden parameters, failures, equal bytes, nothing left behind."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from process_table import gone_within, running
from small_book import notebook

from perturbook.errors import ConfigError, PerturbookError
from perturbook.pages import parameters, runner
from perturbook.pages.table import Page

PARAMETERS = ("parameters", "last: int = 3  # the number where counting ends")
FORMULA = r"$\mathbb{E}[x]$ and $\frac{a}{b}$ {term}`floor`"


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Make a page of a notebook with these cells, behind a title and a parameters cell."""
    for module in (parameters, runner):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()

    def make(*cells, **fields):
        made = notebook([("markdown", "(@@id@@)=\n# @@title@@"), PARAMETERS, *cells])
        nbformat.write(made, tmp_path / "notebooks" / "count.ipynb")
        return Page(id="far", title="Counting far", part="Numbers", notebook="count", **fields)

    return make


def run(page, tmp_path, **given):
    return runner.execute(page, given, tmp_path / "pages" / "far.ipynb", tmp_path / "logs" / "far.log")


def test_tokens_are_replaced_as_plain_text_and_formulas_stay_as_they_are(page):
    made = runner.prepare(page(("markdown", f"{FORMULA}\n\n@@lead@@"), text={"lead": "Up to {last}.\n"}), {})
    assert made.cells[0].source == "(far)=\n# Counting far"
    assert made.cells[-1].source == f"{FORMULA}\n\nUp to {{last}}."


def test_a_token_in_code_is_left_alone(page):
    assert runner.prepare(page(("code", "'@@lead@@'")), {}).cells[-1].source == "'@@lead@@'"


def test_a_token_without_text_is_refused_and_named(page):
    with pytest.raises(
        PerturbookError, match="Page far: no text for @@lead@@; add it under `text` in book/pages.yml"
    ):
        runner.prepare(page(("markdown", "@@lead@@")), {})


def test_parameters_are_injected_after_their_defaults_and_hidden(page):
    cells = runner.prepare(page(), {"last": 5}).cells
    assert [c.metadata.get("tags", []) for c in cells] == [
        [],
        ["parameters"],
        ["injected-parameters", "remove-cell"],
    ]
    assert "last = 5" in cells[2].source
    assert cells[2].id == "injected-parameters"


def test_a_wrong_parameter_starts_nothing_and_writes_nothing(page, tmp_path):
    one = page()
    with pytest.raises(ConfigError, match="last must be int, not 'x'"):
        run(one, tmp_path, last="x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notebooks"]


def test_two_executions_of_one_page_give_equal_bytes_and_no_word_of_stderr(page, tmp_path):
    one = page(
        (
            "code",
            "import sys, warnings\nprint('seen')\nprint('a note', file=sys.stderr)\nwarnings.warn('a warning')",
        ),
        ("code", "import os\nsorted({'a', 'b', str(last)}), hash('a'), os.environ['OMP_NUM_THREADS']"),
    )
    first = run(one, tmp_path, last=5).read_bytes()
    assert run(one, tmp_path, last=5).read_bytes() == first
    executed = nbformat.reads(first.decode(), as_version=4)
    nbformat.validate(executed)
    printed, value = (cell.outputs for cell in executed.cells[-2:])
    assert [output.text for output in printed] == ["seen\n"]
    assert (
        value[0].data["text/plain"].startswith("(['5', 'a', 'b'], ") and "'1')" in value[0].data["text/plain"]
    )
    assert "papermill" not in executed.metadata
    assert str(tmp_path) not in first.decode()


def test_a_failing_cell_leaves_its_copy_and_log_but_nothing_at_the_final_place(page, tmp_path):
    one = page(
        ("code", "print('before')"), ("code", "raise KeyError(f'no {last}')"), ("code", "print('after')")
    )
    with pytest.raises(
        PerturbookError, match=r"Page far failed: KeyError: 'no 3' The notebook is .*far.failed.ipynb"
    ):
        run(one, tmp_path)
    assert list((tmp_path / "pages").iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["far.failed.ipynb", "far.log"]
    assert "KeyError" in (tmp_path / "logs" / "far.log").read_text()
    failed = nbformat.read(tmp_path / "logs" / "far.failed.ipynb", as_version=4)
    assert any(o.output_type == "error" for c in failed.cells for o in c.get("outputs", []))


def test_a_failure_keeps_the_notebook_of_before_and_success_clears_the_failed_one(page, tmp_path):
    before = run(page(("code", "last")), tmp_path).read_bytes()
    with pytest.raises(PerturbookError, match="ZeroDivisionError: division by zero"):
        run(page(("code", "last / 0")), tmp_path)
    assert (tmp_path / "pages" / "far.ipynb").read_bytes() == before
    run(page(("code", "last")), tmp_path)
    assert not (tmp_path / "logs" / "far.failed.ipynb").exists()


def test_a_kernel_that_dies_is_reported_with_the_last_word_of_the_log(page, tmp_path):
    with pytest.raises(PerturbookError, match="Page far failed: .*Kernel died"):
        run(page(("code", "import os\nos._exit(1)")), tmp_path)
    assert list((tmp_path / "pages").iterdir()) == []


def test_a_page_over_its_time_is_ended_with_its_kernel(page, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "TIME_LIMIT_S", 10)
    pid = tmp_path / "pid"
    one = page(
        (
            "code",
            f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\ntime.sleep(60)",
        )
    )
    with pytest.raises(PerturbookError, match="Page far failed: it took longer than 10 seconds"):
        run(one, tmp_path)
    assert gone_within(2, lambda: {int(pid.read_text())} & set(running()))
    assert list((tmp_path / "pages").iterdir()) == []


WAITING = """
import os, pathlib, sys
from perturbook.processes import run_module
pathlib.Path(sys.argv[1], "waiting.py").write_text(
    "import os, pathlib, subprocess, time\\n"
    "child = subprocess.Popen(['sleep', '60'])\\n"
    "pathlib.Path('pids').write_text(f'{os.getpid()} {child.pid}')\\n"
    "time.sleep(60)\\n"
)
path = os.pathsep.join([sys.argv[1], *sys.path])
run_module("waiting", [], pathlib.Path("log"), {"PYTHONPATH": path})
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_a_killed_process_had_started_ends_within_two_seconds(tmp_path, blow):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(tmp_path)],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # a shell that starts these tests in the background has them ignore an interrupt, and so their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    pids = tmp_path / "pids"
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        time.sleep(0.05)
    started = {int(pid) for pid in pids.read_text().split()}
    assert started <= set(running())
    os.kill(process.pid, blow)  # not waited for: a dead process that nobody collects is dead too
    assert gone_within(2, lambda: started & set(running()))
    process.wait()
