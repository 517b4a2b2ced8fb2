"""What each page of a build needs and makes: the table that the Snakefile turns into rules."""

import ast
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from perturbook import data, splits
from perturbook.evaluation import METRICS
from perturbook.models import MODELS
from perturbook.pages import parameters
from perturbook.pages.table import ROOT, Page, in_tier
from perturbook.source import closure, imported_by


@dataclass(frozen=True)
class Step:
    """One rule: run one page."""

    page: Page
    """The page."""
    given: dict[str, Any]
    """Parameters of this build."""
    notebook: Path
    """Executed notebook, relative to the project."""
    manifest: Path
    """Its manifest."""
    bundle: Path | None
    """Folder of what it keeps: bundle or card; None for a page that keeps nothing."""
    inputs: list[str]
    """Files whose change makes it run again."""
    facts: str
    """JSON of everything else it depends on: parameters, texts, data checksums."""


def folder(tier: str) -> Path:
    """Where a build of `tier` lives, relative to the project."""
    return Path("build") / tier


def _data_state(name: str) -> str:
    """Checksum of a data set that can be had without a network, "absent" of another."""
    if name not in data.DATASETS:
        return Path(name).name
    return data.checksum(name) if data.available(name) else "absent"


def _sources(page: Page, values: dict[str, Any]) -> list[Path]:
    """The notebook's imports followed through the package, and the registry entries that its parameters name."""
    notebook = ROOT / "notebooks" / f"{page.notebook}.ipynb"
    code = "\n".join(c.source for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "code")
    starts = imported_by(ast.parse(code))
    named = [MODELS[name] for name in values.get("models", [])]
    named += [splits.SETTINGS[values["setting"]].draw] if "setting" in values else []
    named += [data.DATASETS[name].prepare for name in _data_sets(values) if name in data.DATASETS]
    named += [metric.compute for metric in METRICS.values()]
    starts |= {Path(inspect.getfile(inspect.unwrap(one))) for one in named}
    return [notebook, *closure(*starts)]


def _data_sets(values: dict[str, Any]) -> list[str]:
    return [values["data"]] if values.get("data") else []


def prepared(name: str, size: str, base: Path) -> Path:
    """Stamp of a simulated screen whose noise-free means are in the cache, relative to the project."""
    return base / "data" / f"{name}-{size or 'default'}.txt"


def simulations(planned: list[Step], base: Path) -> dict[Path, tuple[str, str, str]]:
    """Simulated screens that a build needs with their noise-free means: stamp -> (name, size, checksum)."""
    asked = {(s.given["data"], s.given.get("size", "")) for s in planned if s.page.scored}
    asked = {(name, size) for name, size in asked if name in data.DATASETS and data.DATASETS[name].synthetic}
    return {prepared(name, size, base): (name, size, data.checksum(name)) for name, size in sorted(asked)}


def step(page: Page, given: dict[str, Any], base: Path, siblings: list[Path]) -> Step:
    """Plan one page below the folder `base`; `siblings` are the kept folders that it reads.

    Raises:
        ConfigError: a parameter is unknown, of the wrong type, or impossible beside the others.
    """
    known = parameters.parameters(page.notebook)
    bundle = base / "bundles" / page.id if "out" in known else None
    given = dict(given)
    if "page" in known:
        given["page"] = page.id
    if bundle:
        given["out"] = bundle.as_posix()
    if "bundles" in known:
        given["bundles"] = (base / "bundles").as_posix()
    values = parameters.check(page.notebook, given)
    states = {name: _data_state(name) for name in _data_sets(values)}
    inputs = [path.relative_to(ROOT).as_posix() for path in _sources(page, values)] + ["constraints.txt"]
    inputs += [path.as_posix() for path in siblings]
    if page.scored and values["data"] in data.DATASETS and data.DATASETS[values["data"]].synthetic:
        inputs.append(prepared(values["data"], values["size"], base).as_posix())
    deposit = ROOT / "results" / page.id
    if "absent" in states.values():
        inputs += sorted(path.relative_to(ROOT).as_posix() for path in deposit.rglob("*") if path.is_file())
    facts = json.dumps(
        {"given": given, "text": page.text, "title": page.title, "data": states}, sort_keys=True
    )
    return Step(
        page,
        given,
        base / "pages" / f"{page.id}.ipynb",
        base / "manifests" / f"{page.id}.json",
        bundle,
        inputs,
        facts,
    )


def steps(tier: str) -> list[Step]:
    """All pages of a build that run a notebook, in reading order."""
    base, rows = folder(tier), [page for page in in_tier(tier) if page.notebook]
    plain = {page.id: step(page, page.parameters_at(tier), base, []) for page in rows if not page.after}
    planned = []
    for page in rows:
        made = [s for s in plain.values() if s.page.notebook in page.after]
        siblings = [path for s in made for path in (s.bundle, s.manifest) if path]
        planned.append(plain.get(page.id) or step(page, page.parameters_at(tier), base, siblings))
    return planned
