"""From executed notebooks to a site: contents, the gate before it, and a book that is replaced whole or not at all."""

import fcntl
import re
import shutil

import nbformat
import pytest
import yaml
from small_book import TABLE, make, notebook, perturbook, write_table

from perturbook.errors import PerturbookError
from perturbook.pages.site import contents, gate
from perturbook.pages.table import ROOT, Page

TITLE = ("markdown", "# A page")


def test_contents_name_parts_in_order_and_put_run_pages_apart_from_written_ones():
    rows = [
        Page("intro", "Introduction", "Start"),
        Page("how-to", "Read on", "Start"),
        Page("count", "Counting", "Numbers", notebook="count"),
        Page("far", "Counting far", "Numbers", notebook="count"),
        Page("glossary", "Words", "Back matter"),
    ]
    expected = """
    format: jb-book
    root: intro
    parts:
    - caption: Start
      chapters:
      - {file: how-to, title: Read on}
    - caption: Numbers
      chapters:
      - {file: pages/count, title: Counting}
      - {file: pages/far, title: Counting far}
    - caption: Back matter
      chapters:
      - {file: glossary, title: Words}
    """
    assert contents(rows) == yaml.safe_load(expected)


@pytest.fixture
def executed(tmp_path):
    """Write a notebook whose code cells ran, changed by `spoil`; returns its path."""

    def write(spoil):
        made = notebook([TITLE, ("code", "1 + 1"), ("code", "")])
        made.cells[1].execution_count = 1
        spoil(made.cells)
        nbformat.write(made, tmp_path / "page.ipynb")
        return tmp_path / "page.ipynb"

    return write


def test_the_gate_lets_an_executed_notebook_pass(executed):
    gate(executed(lambda cells: None))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda cells: cells[0].update(source="# @@title@@"),
            "page.ipynb: a token was not replaced in '# @@title@@'",
        ),
        (
            lambda cells: cells[1].update(execution_count=None),
            r"page.ipynb: a cell was not executed: '1 \+ 1'",
        ),
        (
            lambda cells: cells[1].update(
                outputs=[nbformat.v4.new_output("error", ename="E", evalue="v", traceback=[])]
            ),
            r"page.ipynb: a cell failed: '1 \+ 1'",
        ),
        (
            lambda cells: cells[1].update(
                outputs=[nbformat.v4.new_output("stream", name="stdout", text="WARNING: not as usual\n")]
            ),
            "page.ipynb: a cell prints 'WARNING: not as usual' to the reader",
        ),
    ],
)
def test_the_gate_refuses_what_must_not_reach_a_reader(executed, spoil, message):
    with pytest.raises(PerturbookError, match=message):
        gate(executed(spoil))


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A small book, built."""
    folder = make(tmp_path_factory.mktemp("small"))
    done = perturbook(folder, "build", "--tier", "smoke")
    assert done.stdout == f"{folder / 'build' / 'smoke' / 'html' / 'index.html'}\n", done.stderr
    return folder


@pytest.fixture
def copy(book, tmp_path):
    """A copy of the small built book, to be spoiled."""
    return shutil.copytree(book, tmp_path / "copy", copy_function=shutil.copy2)


def stamps(folder):
    pages = folder / "build" / "smoke" / "pages"
    return {path.stem: path.stat().st_mtime_ns for path in pages.glob("*.ipynb")}


def test_a_site_holds_its_pages_scripts_formulas_and_manifests(book):
    html = book / "build" / "smoke" / "html"
    wanted = (
        "index.html",
        "intro.html",
        "pages/count.html",
        "pages/far.html",
        "_static/vega.js",
        ".nojekyll",
    )
    for name in (*wanted, "math/tex-svg-full.js", "manifests/far.json"):
        assert (html / name).is_file(), name
    page = (html / "pages" / "far.html").read_text()
    assert "[0, 1, 2, 3, 4]" in page and r"\mathbb{E}[x]" in page
    assert "injected-parameters" not in page and "last = 5" not in page
    assert page.count("vega.js") == 1


def test_no_page_asks_another_host_for_a_script_or_style(book):
    for page in (book / "build" / "smoke" / "html").rglob("*.html"):
        text = page.read_text()
        assert not re.findall(r'<script[^>]+src="(?:https?:)?//', text)
        assert not [
            link for link in re.findall(r"<link[^>]+>", text) if "stylesheet" in link and "//" in link
        ]


def test_a_second_build_runs_nothing(book):
    before = stamps(book)
    assert perturbook(book, "build", "--tier", "smoke").returncode == 0
    assert stamps(book) == before
    assert "Nothing to be done" in (book / "build" / "smoke" / "snakemake.log").read_text()


def test_a_changed_parameter_runs_its_page_only(copy):
    before = stamps(copy)
    table = {"pages": [*TABLE["pages"][:2], {**TABLE["pages"][2], "parameters": {"last": 4}}]}
    write_table(copy, table)
    assert perturbook(copy, "build", "--tier", "smoke").returncode == 0
    after = stamps(copy)
    assert after["far"] != before["far"] and after["count"] == before["count"]
    assert "[0, 1, 2, 3]" in (copy / "build" / "smoke" / "html" / "pages" / "far.html").read_text()


BROKEN = """
{ref}`nowhere`, {term}`nothing`, {glue:text}`pages/count.ipynb::no_key`

(count)=
## A label that stands twice
"""
WARNED = (
    "undefined label: 'nowhere'",
    "term not in glossary: 'nothing'",
    "No key 'pages/count.ipynb:'",
    "label count",
)


def test_a_broken_book_fails_with_every_warning_and_leaves_the_book_of_before(copy):
    html = copy / "build" / "smoke" / "html"
    before = {path.relative_to(html): path.read_bytes() for path in html.rglob("*.html")}
    intro = copy / "book" / "intro.md"
    intro.write_text(intro.read_text() + BROKEN)
    done = perturbook(copy, "build", "--tier", "smoke")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("perturbook: Jupyter Book refused the book:\n  ")
    for warning in WARNED:
        assert warning in done.stderr, done.stderr
    assert {path.relative_to(html): path.read_bytes() for path in html.rglob("*.html")} == before


def test_a_failing_page_stops_the_book_keeps_the_others_and_leaves_the_book_of_before(copy):
    before = stamps(copy)
    write_table(copy, {"pages": [*TABLE["pages"][:2], {**TABLE["pages"][2], "parameters": {"last": 100}}]})
    done = perturbook(copy, "build", "--tier", "smoke")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "perturbook: Page far failed: AssertionError: 100 is too far The notebook is "
    )
    assert "Traceback" not in done.stderr
    assert stamps(copy) == {"count": before["count"]}
    assert "[0, 1, 2, 3, 4]" in (copy / "build" / "smoke" / "html" / "pages" / "far.html").read_text()
    assert (copy / "build" / "smoke" / "logs" / "far.failed.ipynb").is_file()


def test_a_second_build_at_the_same_time_is_told_so(copy):
    with (copy / "build" / "smoke" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = perturbook(copy, "build", "--tier", "smoke")
    assert done.returncode == 1
    assert (
        done.stderr
        == "perturbook: Another build is at work in build/smoke. Wait for it, or stop it, and try again.\n"
    )


def test_the_word_tier_is_checked_before_anything_starts(copy):
    done = perturbook(copy, "build", "--tier", "fast")
    assert (done.returncode, done.stderr) == (
        1,
        "perturbook: tier 'fast' must be one of smoke, book, full.\n",
    )
    assert not (copy / "build" / "fast").exists()


@pytest.mark.parametrize(
    "text, is_number",
    [
        ("0.5 [0.4, 0.6]", True),
        ("\u22121.2", True),
        ("1,975", True),
        ("3.2e-05", True),
        ("12 %", True),
        ("undefined (0 of 4)", True),
        ("4-iodo-6-phenylpyrimidine", False),
        ("5'-AMP", False),
        ("2\u2019-fucosyllactose", False),
        ("7b", False),
        ("CD4 T", False),
    ],
)
def test_a_cell_is_set_as_a_number_unless_it_is_a_name_that_begins_with_one(text, is_number):
    script = (ROOT / "book" / "_static" / "tables.js").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"if \(/(.*)/\.test\(cell\.textContent\.trim\(\)\)\)", script)
    assert bool(re.match(pattern, text, re.ASCII)) == is_number
