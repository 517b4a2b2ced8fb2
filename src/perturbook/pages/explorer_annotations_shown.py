"""What the page on annotations says and shows; whatever comes of synthetic files says so in its caption and its heading."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook.evaluation.annotator_agreement import Estimate, agreement
from perturbook.evaluation.manifest import manifest
from perturbook.pages import explorer_annotations as exported
from perturbook.pages import frame
from perturbook.pages.explorer_annotations import Compared, Study
from perturbook.pages.html_table import table
from perturbook.pages.present import number
from perturbook.pages.table import ROOT

ARMS = {"sae": "Concepts", "neuron": "Neurons"}
PREVALENCE = {"Half of each": [[4, 1], [1, 4]], "Nearly all “yes”": [[8, 1], [1, 0]]}
"""Ten items each, on eight of which two annotators agree."""


def notice(study: Study) -> HTML:
    """Say first that no expert has annotated, where the files are synthetic; every later chart then says so too."""
    if not study.synthetic:
        return HTML("")
    frame.say_first("Synthetic annotations.")
    return HTML(
        frame.admonition(
            "warning simulated",
            "Synthetic annotations",
            "No expert has annotated yet, and nothing is claimed of experts, of concepts or of neurons. Every annotation on this page is "
            "synthetic: drawn at random, to show what will be computed when real files exist.",
        )
    )


def answer(study: Study) -> Markdown:
    """The page in a sentence or two."""
    if len(study.annotators) < 2:
        return Markdown(_alone(study))
    found = exported.between_annotators(study)
    parts = [
        f"{one.who}, pass {one.pass_}: agreement {_bounds(one.found.share)}, kappa {_bounds(one.found.kappa)}, PABAK "
        f"{_bounds(one.found.pabak)} on {one.found.items} items"
        for one in found
    ]
    said = "; ".join(parts) or "no item was annotated by two annotators"
    kind = "Synthetic annotations, which say nothing of experts: " if study.synthetic else ""
    return Markdown(f"**{kind}{said}.**")


def files_table(study: Study) -> HTML | Markdown:
    """Who annotated how much."""
    rows = []
    for one in study.annotators:
        seconds = pd.Series([record.seconds for record in one.latest()], dtype=float)
        rows.append(
            {
                _head(study): one.annotator_code,
                "Items, pass 1": len(one.items(1)),
                "Of them blind": sum(record.blind for record in one.items(1).values()),
                "Items, pass 2": len(one.items(2)),
                "Repeats": sum(len(one.repeats(part)) for part in exported.PASSES),
                "Versions": len(one.records),
                "Median seconds": number(seconds.median(), 0),
            }
        )
    first = study.annotators[0]
    what = f"annotators of {first.atlas}, artefact {first.artefact_hash[:12]}"
    return _table(study, rows, what)


def between_table(study: Study) -> HTML | Markdown:
    """Agreement of every two annotators on "interpretable"."""
    if len(study.annotators) < 2:
        return Markdown(_alone(study))
    rows = [_row(study, one) for one in exported.between_annotators(study)]
    return _table(study, rows, "“interpretable?”, annotator with annotator")


def within_table(study: Study) -> HTML | Markdown:
    """Agreement of every annotator with their own answers to the same items later."""
    if not (rows := [_row(study, one) for one in exported.within_annotators(study)]):
        return Markdown("No item was shown twice and answered twice, so that nothing can be said here.")
    return _table(study, rows, "“interpretable?”, the same annotator on repeated items")


def scales_table(study: Study) -> HTML | Markdown:
    """Weighted kappa of confidence and usefulness."""
    if len(study.annotators) < 2:
        return Markdown(_alone(study))
    rows = [
        {
            _head(study): one.who,
            "Pass": one.pass_,
            "Scale": field.capitalize(),
            "Items": one.found.items,
            "Same value": _bounds(one.found.share),
            "Weighted kappa": _bounds(one.found.kappa),
        }
        for field in ("confidence", "usefulness")
        for one in exported.between_annotators(study, field)
    ]
    return _table(study, rows, "confidence and usefulness, from 1 to 5")


def terms_table(study: Study) -> HTML | Markdown:
    """How often two annotators gave one item a term in common, beside chance."""
    if len(study.annotators) < 2:
        return Markdown(_alone(study))
    rows = [
        {
            _head(study): who,
            "Pass": part,
            "Items with terms of both": found.share.n_defined,
            "A term in common": _bounds(Estimate(found.share.mean, found.share.low, found.share.high)),
            "By chance": number(found.chance, 2),
        }
        for who, part, found in exported.terms(study)
    ]
    return _table(study, rows, "labels compared by shared terms")


def arms_table(study: Study) -> HTML | Markdown:
    """Share of the items of each arm that were called interpretable."""
    rows = [
        {
            _head(study): code,
            "Pass": part,
            "Arm": ARMS.get(arm, arm),
            "Items": found.n_total,
            "“Yes”": _bounds(Estimate(found.mean, found.low, found.high)),
        }
        for code, part, arm, found in exported.arms(study)
    ]
    return _table(study, rows, "share called interpretable, by arm, told by the uid afterwards")


def prevalence_table() -> HTML:
    """Two tables of ten items with equal agreement: what prevalence does to kappa."""
    rows = []
    for name, counts in PREVALENCE.items():
        pairs = [(i, j) for i, row in enumerate(counts) for j, n in enumerate(row) for _ in range(n)]
        found = agreement(*zip(*pairs, strict=True), (0, 1))
        rows.append(
            {
                "Answers": name,
                "Both “yes”": counts[0][0],
                "Both “no”": counts[1][1],
                "Different": counts[0][1] + counts[1][0],
                "Agreement": number(found.share.value, 2),
                "Kappa": number(found.kappa.value, 2),
                "PABAK": number(found.pabak.value, 2),
            }
        )
    return HTML(table(rows, "An example made up by hand: ten items, two answers"))


def provenance(page: str, files: Sequence[str], artefact_hash: str) -> HTML:
    """What the page was made of."""
    paths = [Path(one) for one in files] or sorted(exported.DEPOSIT.glob(f"{exported.PAGE}.*.json"))
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    given = {"artefact_hash": artefact_hash}
    return frame.footer(manifest(ROOT, page=page, tier="smoke", parameters=given, data=sums))


def _row(study: Study, one: Compared) -> dict:
    found = one.found
    return {
        _head(study): one.who,
        "Pass": one.pass_,
        "Items": found.items,
        "Both “yes”": int(found.counts[0, 0]),
        "Agreement": _bounds(found.share),
        "Kappa": _bounds(found.kappa),
        "PABAK": _bounds(found.pabak),
    }


def _alone(study: Study) -> str:
    kind = "Synthetic annotations. " if study.synthetic else ""
    return (
        f"{kind}Agreement between annotators cannot be computed: it needs two or more, and the files hold "
        f"{len(study.annotators)}. The paper had one expert, so that it could not be computed there either."
    )


def _table(study: Study, rows: list[dict], words: str) -> HTML | Markdown:
    if not rows:
        return Markdown("The files hold no items for this table.")
    caption = f"Synthetic annotations: {words}" if study.synthetic else words[:1].upper() + words[1:]
    return HTML(table(rows, caption))


def _head(study: Study) -> str:
    return "Annotator (synthetic)" if study.synthetic else "Annotator"


def _bounds(one: Estimate) -> str:
    """Value with its interval, where there is one."""
    bounds = "" if pd.isna(one.low) else f" [{number(one.low, 2)}, {number(one.high, 2)}]"
    return number(one.value, 2) + bounds
