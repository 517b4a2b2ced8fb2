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
from perturbook.explorer.atlas import ABOUT
from perturbook.models import MODELS, shipped
from perturbook.pages import parameters
from perturbook.pages.design import Design
from perturbook.pages.table import ALL, ROOT, Page, in_tier
from perturbook.source import PACKAGE, closure, imported_by

OWN = ("page", "out", "bundles")
"""Parameters that a plan sets itself."""


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


def _code(page: Page) -> ast.Module:
    """Code of the page's notebook without the parameters cell, whose defaults a page may override."""
    cells = nbformat.read(ROOT / "notebooks" / f"{page.notebook}.ipynb", as_version=4).cells
    code = [c for c in cells if c.cell_type == "code" and "parameters" not in c.metadata.get("tags", [])]
    return ast.parse("\n".join(c.source for c in code))


def _words(page: Page, values: dict[str, Any]) -> set[str]:
    """Every text among the parameters and in the notebook's code: the names of registry entries that the page uses."""
    given = [one for value in values.values() for one in (value if isinstance(value, list) else [value])]
    said = [node.value for node in ast.walk(_code(page)) if isinstance(node, ast.Constant)]
    return {one for one in (*given, *said) if isinstance(one, str)}


def data_states(page: Page, values: dict[str, Any]) -> dict[str, str]:
    """Checksum of every data set that the page uses, "absent" where it cannot be had without a network.

    Raises:
        ConfigError: the parameter `data` names neither a data set nor a file.
    """
    own = values.get("data", "")
    if own not in data.DATASETS and Path(own).exists() and own:
        return {Path(own).name: data.own_sha256(own)}
    words = _words(page, values)
    needed = {name for model in words & set(MODELS) for name in getattr(MODELS[model], "needs", ())}
    names = (words & set(data.DATASETS)) | needed | ({own} - {""})
    return {name: data.checksum(name) if data.available(name) else "absent" for name in sorted(names)}


def _sources(page: Page, values: dict[str, Any]) -> list[Path]:
    """Notebook, runner, the notebook's imports followed through the package, the registry entries it names, and what
    any of these reads of the checkpoint in the box."""
    words = _words(page, values)
    named = [MODELS[name] for name in words & set(MODELS)]
    settings = [values["setting"]] if page.studied else splits.SETTINGS  # other pages speak of all of them
    named += [splits.SETTINGS[name].draw for name in settings]
    named += [data.DATASETS[name].prepare for name in words & set(data.DATASETS)]
    named += [metric.compute for metric in METRICS.values()]
    starts = imported_by(_code(page)) | {Path(inspect.getfile(inspect.unwrap(one))) for one in named}
    machinery = [PACKAGE / "pages" / f"{name}.py" for name in ("execute", "runner")]
    files = closure(*starts)
    backbones = PACKAGE / "models" / "backbones"
    if any(path.is_relative_to(backbones) for path in files):  # chosen by name, like models
        files = closure(*files, *backbones.glob("*.py"))
    return [ROOT / "notebooks" / f"{page.notebook}.ipynb", *machinery, *files, *_checkpoint(files)]


def _checkpoint(files: list[Path]) -> list[Path]:
    """What code in `files` reads of the checkpoint in the box: card and cells for an audit, all of it for a model."""
    if PACKAGE / "models" / "scgpt" / "checkpoint.py" in files:
        return sorted(shipped.FOLDER.iterdir())
    return shipped.OF_AUDIT if Path(shipped.__file__) in files else []


def prepared(name: str, size: str, base: Path) -> Path:
    """Stamp of a simulated screen whose noise-free means are in the cache, relative to the project."""
    return base / "data" / f"{name}-{size or 'default'}.txt"


def simulations(planned: list[Step], base: Path) -> dict[Path, tuple[str, str, str]]:
    """Simulated screens that a build needs with their noise-free means: stamp -> (name, size, checksum)."""
    asked = {(s.given["data"], s.given.get("size", "")) for s in planned if s.page.studied}
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
    if page.studied:
        Design.of(values)
    states = data_states(page, values)
    inputs = [path.relative_to(ROOT).as_posix() for path in _sources(page, values)] + ["constraints.txt"]
    inputs += [path.as_posix() for path in siblings]
    if page.studied and values["data"] in data.DATASETS and data.DATASETS[values["data"]].synthetic:
        inputs.append(prepared(values["data"], values["size"], base).as_posix())
    if "absent" in states.values():
        inputs += _deposited(page.id, "*")
    # a study of several settings has a folder per setting, which begins with its id
    inputs += [
        path for name in values.get("stored", ()) for path in _deposited(f"{page.id}*", f"{name}[.-]*")
    ]
    kept = sorted((ROOT / "results").glob(f"{page.id}.*"))  # of a study that is no bundle
    inputs += [path.relative_to(ROOT).as_posix() for path in kept] + _deposited(page.id, ABOUT)
    # a reader's own files; the notebook says which is missing
    inputs += [one for one in values.get("files", ()) if Path(one).is_file()]
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


def site_inputs() -> list[str]:
    """Files beside the pages whose change makes the site anew: text, settings, what builds it, and the explorer with its atlases."""
    book = [path for path in sorted((ROOT / "book").rglob("*")) if path.is_file()]
    static = sorted((PACKAGE / "explorer" / "static").iterdir())
    builds = closure(*(PACKAGE / f"{name}.py" for name in ("pages/site", "pages/vega_plugin", "palette")))
    fixed = [ROOT / "_config.yml", ROOT / "constraints.txt"]
    own = [path.relative_to(ROOT).as_posix() for path in (*book, *fixed, *static, *builds)]
    return own + _deposited("explorer", ABOUT)


def _deposited(folders: str, files: str) -> list[str]:
    """Files below `results/` by two patterns, relative to the project."""
    found = (ROOT / "results").glob(f"{folders}/*/{files}")
    return sorted(path.relative_to(ROOT).as_posix() for path in found if path.is_file())


def steps(tier: str) -> list[Step]:
    """All pages of a build that run a notebook, in reading order."""
    base, rows = folder(tier), [page for page in in_tier(tier) if page.notebook]
    planned: dict[str, Step] = {}
    for page in sorted(rows, key=lambda row: bool(row.after)):  # pages that read others' results come last
        made = [s for s in planned.values() if s.page.notebook in page.after or ALL in page.after]
        siblings = [path for s in made for path in (s.bundle, s.manifest) if path]
        planned[page.id] = step(page, page.parameters_at(tier), base, siblings)
    return [planned[page.id] for page in rows]
