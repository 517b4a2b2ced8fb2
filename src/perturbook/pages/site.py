"""From executed notebooks to a site: contents, staging, Jupyter Book, and the files a static host needs."""

import gzip
import importlib.metadata
import shutil
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import nbformat
import yaml

from perturbook.errors import PerturbookError
from perturbook.explorer.site import write_site
from perturbook.pages import explorer_atlases, vega
from perturbook.pages.plan import folder, steps
from perturbook.pages.runner import TOKEN
from perturbook.pages.table import ROOT, Page, in_tier


def contents(pages: list[Page]) -> dict:
    """Table of contents of Jupyter Book for `pages` in their order; the first is the root, parts keep their names."""

    def entry(page: Page) -> dict:
        return {"file": f"pages/{page.id}" if page.notebook else page.id, "title": page.title}

    first, *rest = pages
    parts = [
        {"caption": part, "chapters": [entry(page) for page in group]}
        for part, group in groupby(rest, key=lambda page: page.part)
    ]
    return {"format": "jb-book", "root": entry(first)["file"], "parts": parts}


def gate(notebook: Path) -> None:
    """Refuse a notebook that must not reach a reader; raises PerturbookError naming the file and the fault."""
    read = nbformat.read(notebook, as_version=4)
    for cell in read.cells:
        if cell.cell_type == "markdown" and TOKEN.search(cell.source):
            raise PerturbookError(f"{notebook}: a token was not replaced in {cell.source[:60]!r}.")
        if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
            raise PerturbookError(f"{notebook}: a cell was not executed: {cell.source[:60]!r}.")
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            raise PerturbookError(f"{notebook}: a cell failed: {cell.source[:60]!r}.")
        for output in cell.get("outputs", []):
            if output.output_type == "stream":  # a warning, or a print that was forgotten
                raise PerturbookError(
                    f"{notebook}: a cell prints {output.text.strip()[:80]!r} to the reader."
                )


def stage(tier: str) -> Path:
    """Lay out the sources of the book under `build/<tier>/site`, beside them the files that are only copied."""
    base = ROOT / folder(tier)
    site, extra = base / "site", base / "site-extra"
    for path in (site, extra):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(ROOT / "book", site, ignore=shutil.ignore_patterns("pages.yml", "_build"))
    (site / "pages").mkdir()
    for step in steps(tier):
        gate(ROOT / step.notebook)
        shutil.copy(ROOT / step.notebook, site / "pages")
        (extra / "manifests").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / step.manifest, extra / "manifests")
        for kept in sorted((ROOT / step.bundle).glob("*.csv*")) if step.bundle else []:
            (to := extra / "tables" / step.page.id).mkdir(parents=True, exist_ok=True)
            if kept.suffix == ".gz":  # a reader gets it unpacked
                (to / kept.stem).write_bytes(gzip.decompress(kept.read_bytes()))
            else:
                shutil.copy(kept, to)
    if any(page.id == explorer_atlases.PAGE for page in in_tier(tier)):
        write_site(explorer_atlases.stored(), extra / explorer_atlases.PAGE, home="../intro.html")
    (site / "_toc.yml").write_text(yaml.safe_dump(contents(in_tier(tier)), sort_keys=False))
    (site / "_static" / "vega.js").write_text(vega.bundle_script())
    (extra / "math").mkdir(parents=True)
    wheel = importlib.metadata.files("sphinx-mathjax-offline")
    shutil.copy(next(f for f in wheel if f.name == "tex-svg-full.js").locate(), extra / "math")
    return site


def build(tier: str) -> Path:
    """Build the site of `tier` from nothing and put it at `build/<tier>/html`, whole or not at all.

    Raises:
        PerturbookError: a page failed its gate, or Jupyter Book warned; the message holds its last lines.
    """
    site = stage(tier)
    base = site.parent
    shutil.rmtree(base / "out", ignore_errors=True)
    program = "from jupyter_book.cli.main import main; main()"  # it cannot be run with -m
    command = [sys.executable, "-c", program, "build", str(site), "--config", str(ROOT / "_config.yml")]
    command += ["--path-output", str(base / "out"), "-n", "-W", "--keep-going"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    (base / "logs").mkdir(exist_ok=True)
    (base / "logs" / "jupyter-book.log").write_text(done.stdout + done.stderr)
    html = base / "out" / "_build" / "html"
    if done.returncode or not (html / "index.html").is_file():
        said = [
            line for line in (done.stdout + done.stderr).splitlines() if "WARNING" in line or "ERROR" in line
        ]
        raise PerturbookError(
            "Jupyter Book refused the book:\n" + "\n".join(said[:20] or done.stderr.splitlines()[-20:])
        )
    (html / ".nojekyll").touch()
    final = base / "html"
    shutil.rmtree(final, ignore_errors=True)
    html.replace(final)
    return final / "index.html"
