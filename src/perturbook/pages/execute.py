"""What one rule of the Snakefile does: run a page and write its manifest."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perturbook.evaluation.manifest import digest, manifest, write_manifest
from perturbook.pages import parameters
from perturbook.pages.plan import data_states
from perturbook.pages.runner import execute
from perturbook.pages.table import ROOT
from perturbook.pages.table import page as page_of


def execute_page(
    page_id: str, tier: str, given: Mapping[str, Any], notebook: Path, about: Path, log: Path
) -> None:
    """Run a page and write its manifest beside it.

    Args:
        page_id: page.
        tier: tier of the build.
        given: parameters of the build.
        notebook: where the executed notebook goes.
        about: where the manifest goes.
        log: papermill's log.

    Raises:
        PerturbookError: the page failed.
    """
    page, started = page_of(page_id), time.monotonic()
    values = parameters.check(page.notebook, given)
    execute(page, given, notebook, log)
    made = manifest(ROOT, page=page_id, tier=tier, parameters=values, data=data_states(page, values))
    made["bundle"] = digest(ROOT / values["out"]) if values.get("out") else {}
    made["run"]["seconds"] = round(time.monotonic() - started, 1)
    write_manifest(made, about)
