"""The built book in a real browser, and the checks themselves on pages with planted faults.

The book is not built here: it lies in PERTURBOOK_SITE, or where `make book` puts it.
"""

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
import yaml

from perturbook.pages.vega import bundle_script

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).parents[1]
CHECKS = ROOT / "tests" / "browser"
SITE = Path(os.environ.get("PERTURBOOK_SITE", ROOT / "build" / "book" / "html")).resolve()
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
SKIPPED_PAGES = {"index.html"}  # only forwards to the first page
PAGES = sorted(
    page.relative_to(SITE).as_posix()
    for page in SITE.rglob("*.html")
    if "_static" not in page.parts and page.name not in SKIPPED_PAGES
)
HEAVIEST = 1_500_000  # bytes of a page without the shared scripts


def need(**missing: bool) -> None:
    """Skip, naming what is missing; where CI is set nothing may be missing."""
    if lacking := [name.replace("_", " ") for name, gone in missing.items() if gone]:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"missing: {', '.join(lacking)}")


@pytest.fixture(scope="session")
def browser() -> None:
    need(
        Node=shutil.which("node") is None,
        Chromium=CHROMIUM is None,
        node_modules_in_tests_browser=not (CHECKS / "node_modules").is_dir(),
    )


@pytest.fixture(scope="session")
def book() -> Path:
    need(**{f"a built book in {SITE}": not PAGES})
    return SITE


@pytest.fixture(scope="session")
def report(browser: None, book: Path) -> dict:
    return look(book, PAGES)


@contextmanager
def served(folder: Path):
    """Serve `folder` on a free port of this machine only; gives its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def look(folder: Path, pages: list[str]) -> dict:
    """Run check.mjs over `pages` and return its report, one entry per page."""
    with served(folder) as base:
        job = {"base": base, "pages": pages, "chromium": CHROMIUM}
        if pictures := os.environ.get("PERTURBOOK_SCREENSHOTS"):
            Path(pictures).mkdir(parents=True, exist_ok=True)
            job["screenshots"] = str(Path(pictures).resolve())
        done = subprocess.run(
            ["node", "check.mjs"],
            cwd=CHECKS,
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=1200,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("page", PAGES or ["the book"])
def test_a_page_opens_without_fault_wide_and_narrow_light_and_dark(report, page):
    assert report[page]["problems"] == []


@pytest.mark.parametrize("page", PAGES or ["the book"])
def test_a_page_breaks_no_serious_rule_of_accessibility(report, page):
    assert report[page]["accessibility"] == []


def test_the_book_has_a_slider_a_menu_and_a_sortable_table_that_were_tried(report):
    kinds = {control["kind"] for page in report.values() for control in page["controls"]}
    assert {"range", "select-one"} <= kinds
    assert any(
        table["filtered"] and table["rows"] > 15 for table in report["pages/leaderboard.html"]["tables"]
    )


def test_no_page_is_heavier_than_a_megabyte_and_a_half(book):
    assert [page for page in PAGES if (book / page).stat().st_size > HEAVIEST] == []


@pytest.fixture(scope="module")
def planted(browser: None, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The report on a page without and a page with faults, with the book's own scripts and formulas' commands."""
    from perturbook.pages.vega_plugin import chart_html

    folder = tmp_path_factory.mktemp("site")
    for name in ("charts.js", "tables.js", "book.css"):
        shutil.copy(ROOT / "book" / "_static" / name, folder)
    (folder / "vega.js").write_text(bundle_script(), encoding="utf-8")
    mathjax = next(f for f in metadata.files("sphinx-mathjax-offline") if f.name == "tex-svg-full.js")
    shutil.copy(mathjax.locate(), folder)
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"][
        "mathjax3_config"
    ]
    commands = "".join(
        rf'<p class="math">\({{\{name}{"{x}" if isinstance(body, list) else ""}}}\)</p>'
        for name, body in config["tex"]["macros"].items()
    )
    rows = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in TABLE)
    table = f'<div class="pb-sortable" data-filters="name"><table><thead><tr><th>name</th><th>score</th></tr></thead>{rows}</table></div>'
    good = (
        f"{commands}<p class='math'>\\(\\boldsymbol{{x}} \\cancel{{y}}\\)</p>{table}"
        f"<details><summary>closed</summary>{chart_html(scatter().to_dict())}</details>"
    )
    bad = (
        f"{chart_html({'mark': 'point'})}<div class='vl-chart'></div><script type='application/json'>{{}}</script>"
        "<p class='math'>\\(\\nosuchcommand{x}\\)</p><p>@@title@@</p><p>Traceback (most recent call last)</p>"
        "<div style='width:2000px'>wide</div><img src='https://example.org/a.png' alt=''><img src='gone.png' alt=''>"
        "<script>console.warn('planted warning'); throw new Error('planted error');</script>"
    )
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>page</title><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="book.css"><script src="vega.js"></script><script src="charts.js"></script>'
        f'<script src="tables.js"></script><script>window.MathJax = {json.dumps(config)}</script>'
        '<script defer src="tex-svg-full.js"></script><body class="bd-article">'
    )
    (folder / "good.html").write_text(head + good, encoding="utf-8")
    (folder / "bad.html").write_text(head + bad, encoding="utf-8")
    return look(folder, ["good.html", "bad.html"])


TABLE = [("b", "0.5 [0.4, 0.6]"), ("a", "undefined (0 of 4)"), ("c", "\u22121.2"), ("d", "10"), ("e", "9")]
POINTS = pd.DataFrame({"x": np.linspace(0, 1, 101), "y": np.linspace(1, 0, 101)})
MOVED_TO = 0.7  # where check.mjs moves a slider from 0 to 1


def scatter() -> alt.Chart:
    """A point for each row whose x is at least the slider's value."""
    cut = alt.param(name="cut", value=0, bind=alt.binding_range(min=0, max=1, step=0.1, name="Smallest x"))
    points = alt.Chart(POINTS, width="container", description='Points with a "slider" </script> & more')
    axes = {"x": alt.X("x:Q", title="x (a.u.)"), "y": alt.Y("y:Q", title="y (a.u.)")}
    return points.mark_point().encode(**axes).add_params(cut).transform_filter("datum.x >= cut - 1e-9")


def test_every_command_for_formulas_is_known_and_a_sound_page_has_no_problem(planted):
    assert planted["good.html"]["problems"] == []
    assert planted["good.html"]["maths"] > 10


def test_drawn_points_equal_the_rows_counted_in_python_before_and_after_the_slider(planted):
    (control,) = planted["good.html"]["controls"]
    assert control["before"] == len(POINTS)
    assert control["after"] == int((POINTS["x"] >= MOVED_TO - 1e-9).sum())
    assert float(control["value"]) == MOVED_TO


def test_a_table_sorts_numbers_with_intervals_and_minus_signs_and_filters(planted):
    assert planted["good.html"]["tables"] == [
        {"rows": len(TABLE), "columns": 2, "filtered": True, "problems": []}
    ]


@pytest.mark.parametrize(
    "fault",
    [
        "asks another host for https://example.org/a.png",
        "answer 404",
        "console warning: planted warning",
        "script error: planted error",
        "scrolls sideways: 2008 px",
        'shows "@@"',
        'shows "Traceback (most recent call last)"',
        "unknown commands in formulas: \\nosuchcommand",
        "chart 1 has no description",
        "chart 2 was not drawn (failed)",
        "console error: perturbook chart:",
    ],
)
def test_a_planted_fault_is_reported(planted, fault):
    assert any(problem.startswith(fault) for problem in planted["bad.html"]["problems"])
