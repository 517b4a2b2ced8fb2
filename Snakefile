# The one engine: what runs, in what order, and what need not run again. `perturbook build` and `perturbook run` call it.
# config: tier (smoke, book, full); or page + given + base for a single page with new parameters.
import json
import sys
from pathlib import Path

from perturbook.pages import plan
from perturbook.pages.table import page as page_of

tier = config.get("tier", "book")
if "page" in config:
    chosen = page_of(config["page"])
    given = {**chosen.parameters_at(tier), **config["given"]}
    todo = [plan.step(chosen, given, Path(config["base"]), [])]
else:
    todo = plan.steps(tier)
base = Path(config.get("base", plan.folder(tier)))


rule all:
    input:
        [step.notebook for step in todo] if "page" in config else base / "html",


# Drawn once, because several pages need the noise-free means and each would draw them anew.
for stamp, (name, size, checksum) in plan.simulations(todo, base).items():

    rule:
        name:
            "data_" + stamp.stem.replace("-", "_")
        output:
            stamp,
        params:
            name=name,
            size=size or "default",
            checksum=checksum,
        shell:
            "{sys.executable:q} -m perturbook simulate {params.name} {params.size} {output}"


for step in todo:

    rule:
        name:
            "page_" + step.page.id.replace("-", "_")
        input:
            step.inputs,
        output:
            notebook=step.notebook,
            manifest=step.manifest,
            kept=[directory(step.bundle)] if step.bundle else [],
        log:
            base / "logs" / f"{step.page.id}.log",
        params:
            id=step.page.id,
            given=json.dumps(step.given),
            facts=lambda wildcards, facts=step.facts: facts,  # a function, so that braces in texts are no wildcards
            tier=tier,
        resources:
            mem_mb=3000,
            runtime=240 if step.page.tier == "full" else 30,  # minutes
        shell:
            "{sys.executable:q} -m perturbook page {params.id} {params.tier} {params.given:q} "
            "{output.notebook} {output.manifest} {log}"


if "page" not in config:

    rule book:
        input:
            [step.notebook for step in todo],
            [step.manifest for step in todo],
            [step.bundle for step in todo if step.bundle],
            plan.site_inputs(),
        output:
            # "update": the book of before stands until another is ready, and again when a page or a reference is broken
            update(directory(base / "html")),
        params:
            pages=json.dumps([(p.id, p.title, p.part) for p in plan.in_tier(tier)]),
            tier=tier,
        shell:
            "{sys.executable:q} -m perturbook site {params.tier}"
