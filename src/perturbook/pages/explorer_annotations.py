"""What the page on annotations reads: exported files, or the synthetic ones of the book, and every comparison of them.

`perturbook train explorer-annotations` makes the synthetic files of the features of an atlas. Source: `concepts.md` section 8.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from perturbook.errors import InputError
from perturbook.evaluation.annotator_agreement import (
    Agreement,
    SharedTerms,
    agreement,
    between,
    shared_terms,
)
from perturbook.evaluation.intervals import Interval, bootstrap_mean
from perturbook.explorer import annotations, atlas
from perturbook.explorer.annotation_record import ANSWERS, Record
from perturbook.explorer.annotations import Annotations
from perturbook.explorer.synthetic_annotations import synthetic
from perturbook.pages.table import ROOT

PAGE, ATLAS = "explorer-annotations", ROOT / "results" / "explorer" / "kang-small"
DEPOSIT = ROOT / "results"
PASSES, SCALE = (1, 2), (1, 2, 3, 4, 5)


def make(of: Path = ATLAS, to: Path = DEPOSIT) -> Iterator[str]:
    """Draw the synthetic files for the features of an atlas; raises InputError where there is none."""
    read_atlas = atlas.read(of)
    uids = read_atlas.tables["features"]["uid"].tolist()
    for one in synthetic(uids, read_atlas.about["artefact_hash"], read_atlas.name):
        path = annotations.write_json(one, to / f"{PAGE}.{one.annotator_code}.json")
        yield f"{path.name}: {len(one.records)} synthetic records"


@dataclass(frozen=True)
class Study:
    """Annotators of one atlas."""

    annotators: tuple[Annotations, ...]
    """One each, sorted by code; all synthetic or none."""

    @property
    def synthetic(self) -> bool:
        """True where no person annotated."""
        return any(one.synthetic for one in self.annotators)

    def items(self, number: int) -> dict[str, dict[str, Record]]:
        """Annotator -> uid -> record of a pass."""
        return {one.annotator_code: one.items(number) for one in self.annotators}


def read(files: Sequence[str] = (), artefact_hash: str = "", deposit: Path = DEPOSIT) -> Study:
    """Read exported files, or the synthetic ones of the book where none is named.

    Args:
        files: paths; files of one annotator are merged.
        artefact_hash: sha256 that every file must carry; empty for any, which must then be the same in all.

    Raises:
        InputError: a file is not what it must be, or there are no synthetic files.
    """
    paths = list(files) or sorted(deposit.glob(f"{PAGE}.*.json"))
    if not paths:
        raise InputError(f"There are no synthetic annotations; make them with `perturbook train {PAGE}`.")
    found = Study(tuple(annotations.gather(paths, artefact_hash or None)))
    if not files and not all(one.synthetic for one in found.annotators):
        raise InputError(
            f"A file {PAGE}.*.json in {deposit.name}/ is not synthetic; name real files in `files`."
        )
    return found


@dataclass(frozen=True)
class Compared:
    """Two ratings, by two annotators or by one at two times."""

    who: str
    """In words."""
    pass_: int
    """1 or 2."""
    found: Agreement
    """Their agreement."""


def between_annotators(study: Study, field: str = "interpretable") -> list[Compared]:
    """Every two annotators in every pass that both took part in; none with fewer than two annotators.

    Args:
        study: files.
        field: "interpretable", or "confidence" or "usefulness", whose kappa is weighted and which may be missing in a record.
    """
    made = []
    for number in PASSES:
        rated = {code: _rated(held, field) for code, held in study.items(number).items()}
        if len(rated) > 1:
            answer = field == "interpretable"
            found = between(rated, ANSWERS if answer else SCALE, weighted=not answer)
            made += [
                Compared(f"{one} with {other}", number, here)
                for (one, other), here in found.items()
                if here.items
            ]
    return made


def within_annotators(study: Study) -> list[Compared]:
    """The two answers of every annotator to the items that were shown twice in a pass."""
    made = []
    for one in study.annotators:
        for number in PASSES:
            if pairs := one.repeats(number):
                first, again = ([pair[side].interpretable for pair in pairs] for side in (0, 1))
                made.append(Compared(f"{one.annotator_code} again", number, agreement(first, again, ANSWERS)))
    return made


def terms(study: Study) -> list[tuple[str, int, SharedTerms]]:
    """Two annotators in words, pass, and how often both gave an item a term in common."""
    made = []
    for number in PASSES:
        held = study.items(number)
        for one, other in combinations(sorted(held), 2):
            if both := sorted(set(held[one]) & set(held[other])):
                named = ([held[code][uid].ontology_ids for uid in both] for code in (one, other))
                made.append((f"{one} with {other}", number, shared_terms(*named)))
    return made


def arms(study: Study) -> list[tuple[str, int, str, Interval]]:
    """Annotator, pass, arm, and the share of its items that were called interpretable; the arm is told by the uid."""
    made = []
    for number in PASSES:
        for code, held in study.items(number).items():
            yes: dict[str, list[bool]] = {}
            for uid in sorted(held):
                yes.setdefault(uid.rpartition("-")[0], []).append(held[uid].interpretable == "yes")
            made += [
                (code, number, arm, bootstrap_mean(np.array(said, dtype=float))) for arm, said in yes.items()
            ]
    return made


def _rated(held: Mapping[str, Record], field: str) -> dict:
    values = {uid: getattr(record, field) for uid, record in held.items()}
    return {uid: value for uid, value in values.items() if value is not None}
