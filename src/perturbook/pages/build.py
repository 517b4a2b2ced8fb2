"""Drive Snakemake so that a user need not know it: one lock that a killed build cannot leave behind, resume by default."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from perturbook import data
from perturbook.errors import DataUnavailable, PerturbookError
from perturbook.pages import plan
from perturbook.pages.table import ROOT, in_tier
from perturbook.pages.table import page as page_of


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
    # a file is named from where the user stands, the page runs from the project's folder
    given = {k: str(Path(v).resolve()) if isinstance(v, str) and v.endswith(".h5ad") else v for k, v in given.items()}
    name = sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:8] if given else "as-in-the-book"
    base = Path("runs") / page_id / name
    step = plan.step(page, {**page.parameters_at("book"), **given}, base, [])
    config = {"tier": "book", "page": page_id, "given": dict(given), "base": base.as_posix()}
    _snakemake(base, cores, config, ())
    return step


def _snakemake(base: Path, cores: int, config: dict[str, Any], more: tuple[str, ...]) -> None:
    (ROOT / base).mkdir(parents=True, exist_ok=True)
    with (ROOT / base / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PerturbookError(
                f"Another build is at work in {base}. Wait for it, or stop it, and try again."
            ) from error
        log = ROOT / base / "snakemake.log"
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--directory",
            str(ROOT),
        ]
        command += [
            "--cores",
            str(cores),
            "--nolock",
            "--rerun-incomplete",
            "--keep-going",
            "--quiet",
            "rules",
            "progress",
        ]
        command += ["--configfile", str(ROOT / base / "config.json"), *more]
        # a file, because values given on Snakemake's command line lose their types
        (ROOT / base / "config.json").write_text(json.dumps(config))
        with log.open("w") as out:
            code = subprocess.run(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PERTURBOOK_BUILD": str(os.getpid())},
            ).returncode
    if code:
        said = [
            line.removeprefix("perturbook: ")
            for line in log.read_text().splitlines()
            if line.startswith("perturbook: ")
        ]
        raise PerturbookError("\n".join(dict.fromkeys(said)) or f"The build stopped; see {log}.")
