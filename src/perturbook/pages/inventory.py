"""What a build was made of: its pages by their manifests, and the registries of data, metrics and models."""

import inspect
from pathlib import Path

from IPython.display import HTML

from perturbook import data
from perturbook.errors import InputError
from perturbook.evaluation import METRICS
from perturbook.evaluation.bundle import MANIFEST
from perturbook.evaluation.manifest import code_version, read_manifest
from perturbook.models import MODELS
from perturbook.pages.html_table import Markup, code, formula, join, link, table
from perturbook.pages.table import ROOT, pages

DIGITS = 12
"""Of a checksum or commit, as far as a reader compares it. Source: style.md section 4 (provenance footer)."""


def manifests(bundles: str) -> dict[str, dict]:
    """Manifest of every finished page, in reading order: of the build that keeps its bundles in `bundles`, else of the deposits.

    The checksums under "data" are those of the bundle where the page has one: for a page that shows its deposit they name
    the data behind the deposit. "live" is added: False where the data could not be had, None where the page loads none.

    Raises:
        InputError: no page is finished and none is deposited.
        PerturbookError: a manifest is broken.
    """
    base, found = ROOT / bundles, {}
    for page in pages():
        path = base.parent / "manifests" / f"{page.id}.json"
        if bundles and page.notebook not in ("", "provenance") and path.is_file():
            about = read_manifest(path)
            live = "absent" not in about["data"].values() if about["data"] else None
            found[page.id] = {**about, **_stored_data(base / page.id), "live": live}
    for page in () if found else pages():
        path = ROOT / "results" / page.id / str(page.parameters.get("seed", 0)) / MANIFEST
        if path.is_file():
            found[page.id] = {**read_manifest(path), "live": False}
    if not found:
        raise InputError(
            f"No manifest lies beside {bundles or 'results/'}. Run `make book`, or name a build's bundles."
        )
    return found


def _stored_data(bundle: Path) -> dict:
    return {"data": read_manifest(bundle / MANIFEST)["data"]} if (bundle / MANIFEST).is_file() else {}


def pages_table(found: dict[str, dict]) -> HTML:
    """One row per page: data with checksums, live or deposited, seed, code, time, memory, and its manifest."""
    titles, rows = {page.id: page.title for page in pages()}, []
    for name, about in found.items():
        run, values = about["run"], about["parameters"]
        kind = {True: "live", False: "deposited", None: "loads no data by name"}[about["live"]]
        rows.append(
            {
                "Page": link(f"{name}.html", titles[name]),
                "Result": kind,
                "Data (sha256)": ", ".join(f"{Path(k).name} {v[:DIGITS]}" for k, v in about["data"].items())
                or "none",
                "Seed": values.get("seed", "none"),
                "Tier": about.get("tier", "deposit"),
                "Code": _code(run["code"]),
                "Seconds": run.get("seconds", "not recorded"),
                "Peak memory (MB)": run["peak_memory_mb"],
                "Finished (UTC)": run["finished"],
                "Manifest": link(f"../manifests/{name}.json", f"{name}.json"),
            }
        )
    return HTML(table(rows, "Pages of this build", ("Result", "Tier")))


def _code(version: dict) -> str:
    commit = version["commit"] if " " in version["commit"] else version["commit"][:DIGITS]
    return f"{version['version']}, {commit}{', with changes not committed' if version.get('dirty') else ''}"


def packages_table(found: dict[str, dict]) -> HTML:
    """One row per package: its version, and every version where pages differ."""
    versions: dict[str, set[str]] = {}
    for about in found.values():
        for name, version in {"Python": about["run"]["python"], **about["packages"]}.items():
            versions.setdefault(name, set()).add(version)
    rows = [{"Package": name, "Version": ", ".join(sorted(v))} for name, v in sorted(versions.items())]
    return HTML(table(rows, "Packages behind the pages"))


def machines(found: dict[str, dict]) -> str:
    """Kinds of machine that the pages ran on."""
    return "; ".join(sorted({about["run"]["machine"] for about in found.values()}))


def data_table() -> HTML:
    """One row per public file of the data registry, and one per simulator."""
    rows = []
    for name, entry in sorted(data.DATASETS.items()):
        start = {"Name": name, "What": entry.title, "Cells": "simulated" if entry.synthetic else "real"}
        start["Cells"] = start["Cells"] if entry.cells else "none"
        for file in entry.files:
            more = {
                "File": file.name,
                "Bytes": file.size or "not known",
                "sha256": code(file.sha256 or file.listed or "not known"),
            }
            rows.append({**start, **more, "Licence": file.licence, "Address": file.url})
        if not entry.files:
            more = {
                "File": "made by the code of this book",
                "Bytes": "none",
                "sha256": code(data.checksum(name)),
            }
            rows.append({**start, **more, "Licence": "that of the code", "Address": "none"})
    return HTML(table(rows, "Data registry; of a simulator, the checksum is that of its code"))


def metrics_table() -> HTML:
    """One row per metric: key, formula, direction, perfect value, trap, why undefined, and its source."""
    rows = []
    for metric in METRICS.values():
        rows.append(
            {
                "Metric": join(code(metric.key), Markup("<br>"), metric.title),
                "Formula": formula(metric.formula),
                "Better": metric.better,
                "Best": "noise decides" if metric.best is None else f"{metric.best:g}",
                "Trap": metric.trap,
                "Undefined where": metric.undefined,
                "Source": _source(metric.compute),
            }
        )
    return HTML(table(rows, "Metric registry"))


def models_table() -> HTML:
    """One row per predictor: name, title, role and the first line of its documentation."""
    rows = [
        {
            "Name": code(name),
            "Title": made.title,
            "Role": made.role,
            "What it does": inspect.getdoc(made).split("\n")[0],
        }
        for name, made in sorted(MODELS.items(), key=lambda item: (item[1].role, item[0]))
    ]
    return HTML(table(rows, "Model registry", ("Role",)))


def footer(page: str, **parameters) -> HTML:
    """Provenance of a page that only gathers what others made: parameters, code, manifest, and how to repeat it."""
    rows = {
        "Page": page,
        "Parameters": "; ".join(f"{name} = {value}" for name, value in parameters.items() if value != ""),
        "Code": "perturbook " + _code(code_version(ROOT)),
        "Manifest": link(f"../manifests/{page}.json", f"{page}.json"),
        "Repeat": "perturbook build",
    }
    body = "".join(
        join(Markup("<tr><th>"), k, Markup("</th><td>"), v, Markup("</td></tr>")) for k, v in rows.items()
    )
    return HTML(
        f'<details class="pb-provenance"><summary>Provenance of this page</summary><table>{body}</table></details>'
    )


def _source(function) -> str:
    """What a docstring says behind `Source:`."""
    said = " ".join((inspect.getdoc(function) or "").split()).partition("Source: ")[2]
    return said.rstrip(".") or "not stated"
