"""Annotations of one annotator of one atlas, as the explorer exports them: read, checked, merged, written.

Records are versions: none is ever overwritten, the latest counts. Source: `concepts.md` section 8.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perturbook.errors import InputError
from perturbook.explorer import annotations_csv
from perturbook.explorer.annotation_record import HEAD, RECORD, VERSION, Field, Record, check

MOST_BYTES, MOST_RECORDS = 5_000_000, 20_000
SYNTHETIC = "synthetic"
FILE = {
    **HEAD,
    "pass": RECORD["pass"],
    "records": Field(
        f"a list of at most {MOST_RECORDS:,} records",
        lambda v: isinstance(v, list) and len(v) <= MOST_RECORDS,
    ),
}


@dataclass(frozen=True)
class Annotations:
    """What one annotator said of the features of one atlas."""

    artefact_hash: str
    """Of the atlas: weights, cells and features that were annotated."""
    atlas: str
    """Its name."""
    study_id: str
    """Study that the annotator takes part in; "synthetic" where nobody did."""
    annotator_code: str
    """Pseudonym."""
    records: tuple[Record, ...] = ()
    """All versions in the order in which they were saved, each once."""

    def __post_init__(self):
        if len(kept := set(self.records)) > MOST_RECORDS:
            raise InputError(
                f"{len(kept):,} records of {self.annotator_code} are more than the {MOST_RECORDS:,} of a file."
            )
        object.__setattr__(self, "records", tuple(sorted(kept, key=_place)))

    @property
    def pass_(self) -> int:
        """The pass of the record saved last, 1 where there is none; a file's own `pass` says the same and is not kept."""
        return self.records[-1].pass_ if self.records else 1

    @property
    def synthetic(self) -> bool:
        """True where the study, or the annotator's code, says that no person annotated."""
        return self.study_id == SYNTHETIC or self.annotator_code.startswith(f"{SYNTHETIC}-")

    def latest(self) -> tuple[Record, ...]:
        """The version that counts of every item: of one feature, pass, showing (first or repeated) and blindness the one saved last."""
        found = {(one.feature_uid, one.pass_, one.repeat_of, one.blind): one for one in self.records}
        return tuple(found.values())

    def items(self, number: int) -> dict[str, Record]:
        """uid -> record of a pass, a blind one before an open one; a repeat is no second item and is left out."""
        own = [one for one in self.latest() if one.pass_ == number and not one.repeat_of]
        return {one.feature_uid: one for one in sorted(own, key=lambda one: one.blind)}

    def repeats(self, number: int) -> list[tuple[Record, Record]]:
        """First and second answer to every item of a pass that was shown twice and answered twice."""
        first = self.items(number)
        again = [one for one in self.latest() if one.pass_ == number and one.repeat_of]
        return [(first[one.repeat_of], one) for one in again if one.repeat_of in first]


def read(path: Path | str, artefact_hash: str | None = None) -> Annotations:
    """Read an exported file, `.json` or `.csv`; all of it or nothing.

    Args:
        path: file.
        artefact_hash: of the atlas that the annotations must be of; None where any will do.

    Raises:
        InputError: the file cannot be read, is too large, holds an unknown field or a value of another kind or range, or was
            made with another atlas; the message names file, record and field.
    """
    path = Path(path)
    text = _text_of(path)
    held = annotations_csv.parse(text, path.name) if path.suffix == ".csv" else _json(text, path.name)
    check(held, FILE, path.name)
    if artefact_hash not in (None, held["artefact_hash"]):
        raise InputError(
            f"{path.name} annotates another artefact ({held['artefact_hash'][:12]}…) than this one ({artefact_hash[:12]}…); its "
            "features are not the same ones. Nothing was read."
        )
    records = (Record.of(one, f"{path.name}, record {n}") for n, one in enumerate(held["records"], 1))
    return Annotations(
        *(held[name] for name in ("artefact_hash", "atlas", "study_id", "annotator_code")), tuple(records)
    )


def merge(*parts: Annotations) -> Annotations:
    """All versions of several files of one annotator, identical ones once; the order of the files does not matter.

    Raises:
        InputError: there is no file, or they are of different artefacts, atlases, studies or annotators.
    """
    if not parts:
        raise InputError("There is nothing to merge; name one file of annotations or more.")
    _same(parts, ("artefact_hash", "atlas", "study_id", "annotator_code"))
    return replace(parts[0], records=tuple(record for part in parts for record in part.records))


def gather(paths: Iterable[Path | str], artefact_hash: str | None = None) -> list[Annotations]:
    """Read the files of a study, and merge those of each annotator; sorted by code, whatever the order of the files.

    Raises:
        InputError: as `read`; or the files are of different artefacts, atlases or studies, or mix synthetic ones with others.
    """
    parts = [read(path, artefact_hash) for path in paths]
    _same(parts, ("artefact_hash", "atlas", "study_id", "synthetic"))
    codes = sorted({part.annotator_code for part in parts})
    return [merge(*(part for part in parts if part.annotator_code == code)) for code in codes]


def write_json(annotations: Annotations, path: Path | str) -> Path:
    """Write a file that `read` and the explorer read."""
    held = _head(annotations) | {"pass": annotations.pass_}
    held["records"] = [record.values() for record in annotations.records]
    Path(path).write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return Path(path)


def write_csv(annotations: Annotations, path: Path | str) -> Path:
    """Write one row per record, for a spreadsheet; nothing is lost but the head of a file without a record."""
    text = annotations_csv.text(_head(annotations), [record.values() for record in annotations.records])
    Path(path).write_bytes(text.encode())
    return Path(path)


def _place(record: Record) -> tuple:
    """Order of versions, whatever the order of files; those of one instant stand as the explorer puts them, by UTF-16 units."""
    values = json.dumps(list(record.values().values()), ensure_ascii=False, separators=(",", ":"))
    return record.instant, values.encode("utf-16-be")


def _head(annotations: Annotations) -> dict[str, Any]:
    return {"schema_version": VERSION} | {name: getattr(annotations, name) for name in list(HEAD)[1:]}


def _same(parts: Iterable[Annotations], names: Iterable[str]) -> None:
    for name in names:
        if len(found := sorted({str(getattr(part, name)) for part in parts})) > 1:
            raise InputError(
                f"The files differ in {name}: {' and '.join(map(repr, found[:2]))}. Put together only files of one study of one atlas."
            )


def _text_of(path: Path) -> str:
    if path.suffix not in (".json", ".csv"):
        raise InputError(f"{path.name} is neither .json nor .csv; give a file that the explorer exported.")
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise InputError(f"{path.name} has {size:,} bytes, more than the {MOST_BYTES:,} that are read.")
        return path.read_bytes().decode("utf-8-sig")  # a spreadsheet may put a mark of order in front
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path.name} cannot be read ({error}); give a file that the explorer exported."
        ) from error


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is no whole JSON file ({error}); export it again.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        raise ValueError("a field stands twice")
    return held


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")
