"""Drive Snakemake so that a user need not know it: one lock that a killed build cannot leave behind, resume by default."""

import fcntl
import json
import re
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from perturbook import data
from perturbook.errors import ConfigError, DataUnavailable, PerturbookError
from perturbook.pages import plan
from perturbook.pages.table import ROOT, in_tier
from perturbook.pages.table import page as page_of
from perturbook.processes import run_module

SAID = re.compile(r"^perturbook: (.*(?:\n  \S.*)*)", re.MULTILINE)
"""An error of ours in a log, as the command line writes it: further lines are set in by two blanks."""


def fetch_for(tier: str) -> list[str]:
    """Fetch the public data of a build; return a sentence for each data set that cannot be had."""
    absent = []
    for name in sorted({p.parameters_at(tier).get("data", "") for p in in_tier(tier)} & set(data.DATASETS)):
        try:
            data.fetch(name)
        except DataUnavailable as why:
            absent.append(f"{name}: {why}")
    return absent


def build(tier: str, cores: int, snakemake: tuple[str, ...] = ()) -> Path:
    """Build the book of `tier`; only what changed runs, and a killed build goes on where it stopped.

    Args:
        tier: smoke, book or full.
        cores: pages that run beside each other.
        snakemake: further options for Snakemake, such as `--profile profiles/slurm`.

    Returns:
        Path of the first page.

    Raises:
        PerturbookError: another build is running, or a page failed.
    """
    _snakemake(plan.folder(tier), cores, {"tier": tier}, snakemake)
    return ROOT / plan.folder(tier) / "html" / "index.html"


def run_page(page_id: str, given: Mapping[str, Any], cores: int = 2) -> plan.Step:
    """Run one page with new parameters below `runs/<page>/`, a folder for each set of parameters.

    Raises:
        ConfigError: unknown page or parameter, wrong type, impossible combination; before anything starts.
        PerturbookError: the page failed.
    """
    page = page_of(page_id)
    if not page.notebook:
        raise PerturbookError(f"{page_id} is a written page; there is nothing to run.")
    if page.after:
        raise PerturbookError(
            f"{page_id} reads the results of other pages; `perturbook build` runs it with them."
        )
    if fixed := sorted(set(plan.OWN) & set(given)):
        raise ConfigError(f"Parameter {', '.join(fixed)} cannot be given: `run` sets it.")
    given = {name: _placed(value) for name, value in given.items()}
    name = sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:8] if given else "as-in-the-book"
    base = Path("runs") / page_id / name
    step = plan.step(page, {**page.parameters_at("book"), **given}, base, [])
    config = {"tier": "book", "page": page_id, "given": dict(given), "base": base.as_posix()}
    _snakemake(base, cores, config, ())
    return step


def _placed(value: Any) -> Any:
    """Full paths of files in a parameter: they are named from where the user stands, the page runs from the project's folder."""
    if isinstance(value, list):
        return [_placed(one) for one in value]
    known = isinstance(value, str) and value.endswith((".h5ad", ".zarr", ".json", ".csv"))
    return str(Path(value).resolve()) if known else value


def _snakemake(base: Path, cores: int, config: dict[str, Any], more: tuple[str, ...]) -> None:
    (ROOT / base).mkdir(parents=True, exist_ok=True)
    with (ROOT / base / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PerturbookError(
                f"Another build is at work in {base}. Wait for it, or stop it, and try again."
            ) from error
        _sweep(base)
        settings, log = ROOT / base / "config.json", ROOT / base / "snakemake.log"
        # a file, because values given on Snakemake's command line lose their types
        settings.write_text(json.dumps(config))
        command = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(ROOT), "--cores", str(cores)]
        command += ["--nolock", "--rerun-incomplete", "--keep-going", "--quiet", "rules", "progress"]
        command += ["--scheduler", "greedy"]  # the other one solves a program for every job that ends
        code = run_module("snakemake", [*command, "--configfile", str(settings), *more], log, {})
    if code:
        said = [error.replace("\n  ", "\n") for error in SAID.findall(log.read_text())]
        raise PerturbookError("\n".join(dict.fromkeys(said)) or f"The build stopped; see {log}.")


def _sweep(base: Path) -> None:
    """Remove what a killed build left half-written; the lock is ours, so nobody is at work on it."""
    for room in ("pages", "bundles", "manifests"):
        for left in (ROOT / base / room).glob(".*"):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
