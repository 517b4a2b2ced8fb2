"""The manifest: what a run was made of, so that anyone can make it again and tell where it differs."""

import hashlib
import json
import os
import platform
import resource
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from perturbook.errors import PerturbookError

PACKAGES = (
    "altair",
    "anndata",
    "gseapy",
    "jupyter-book",
    "numpy",
    "pandas",
    "papermill",
    "rdkit",
    "scanpy",
    "torch",
)


def code_version(root: Path) -> dict[str, str | bool]:
    """Version of the package, and the commit where `root` is a git checkout.

    Raises:
        PerturbookError: there is a repository but git cannot tell its commit; an unknown commit is never written.
    """
    version = {"version": metadata.version("perturbook")}
    if not (root / ".git").exists():
        return {**version, "commit": "no repository"}
    try:
        run = {"cwd": root, "check": True, "capture_output": True, "text": True}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **run).stdout.strip()
        # a deposit is what code made, with checksums of its own: a new one does not change the code
        asked = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results"]
        changed = subprocess.run(asked, **run).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        raise PerturbookError(f"{root} is a git repository but git cannot name its commit: {said}") from error
    return {**version, "commit": commit, "dirty": bool(changed.strip())}


def manifest(root: Path, *, page: str, parameters: Mapping, data: Mapping[str, str], **more: Any) -> dict:
    """Describe a run; what differs from run to run (time, memory, machine, commit) stands apart under "run".

    Args:
        root: folder of the project.
        page: page id.
        parameters: parameters of the page, seeds among them.
        data: sha256 per data set.
        more: further entries: tier, model_sources, audits.

    Returns:
        A JSON-ready dictionary.
    """
    usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "page": page,
        "parameters": dict(parameters),
        "data": dict(data),
        **more,
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "run": {
            "code": code_version(root),
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}, cpu, {os.environ.get('OMP_NUM_THREADS', 'default')} threads",
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "peak_memory_mb": round(usage / (2**20 if platform.system() == "Darwin" else 2**10)),
        },
    }


def write_manifest(made: Mapping, path: Path) -> None:
    """Write a manifest as JSON, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}.{os.getpid()}")
    making.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
    making.replace(path)


def digest(folder: Path) -> dict[str, str]:
    """sha256 of every .h5ad file of a bundle."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.h5ad"))
    }


def read_manifest(path: Path) -> dict:
    """Read a manifest; raises PerturbookError naming the file where it is not JSON."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise PerturbookError(f"{path} is not a readable manifest: {error}.") from error
