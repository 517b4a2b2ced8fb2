"""What stands in an annotation file, field by field. Source: `concepts.md` section 8; limits that it does not give, our choice."""

import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perturbook.errors import InputError

VERSION = 1
ANSWERS = ("yes", "no", "unsure")
LABEL, COMMENT, ENTRIES = 80, 5_000, 100
"""Most characters of a label and of a comment, most entries of a list."""


@dataclass(frozen=True)
class Field:
    """One field of a file or record."""

    must: str
    """What it must hold, in words that end "… is not"."""
    holds: Callable[[Any], bool]
    """Whether a value is allowed."""


def _text(most: int) -> Field:
    """Text that can be stored: no NUL and no half of a surrogate pair."""
    return Field(
        f"text of at most {most} characters",
        lambda v: isinstance(v, str) and len(v) <= most and not re.search("[\0\ud800-\udfff]", v),
    )


def _matching(pattern: str, must: str) -> Field:
    return Field(must, lambda v: isinstance(v, str) and re.fullmatch(pattern, v, re.ASCII) is not None)


def _list(must: str) -> Field:
    """A list of words that may be joined by ";"."""
    words = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", re.ASCII)
    return Field(
        f"a list of at most {ENTRIES} {must}",
        lambda v: (
            isinstance(v, list)
            and len(v) <= ENTRIES
            and all(isinstance(one, str) and words.fullmatch(one) for one in v)
        ),
    )


def _whole(value: Any, allowed: range) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in allowed


def _instant(value: Any) -> bool:
    shape = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"
    if not isinstance(value, str) or not re.fullmatch(shape, value, re.ASCII):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


_NAME = _matching(r"[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, _ or -")
_SCALE = Field("null or a whole number from 1 to 5", lambda v: v is None or _whole(v, range(1, 6)))
HEAD: dict[str, Field] = {
    "schema_version": Field(f"{VERSION}, the version that is read here", lambda v: _whole(v, range(1, 2))),
    "artefact_hash": _matching("[0-9a-f]{64}", "a sha256 of 64 hexadecimal digits"),
    "atlas": _NAME,
    "study_id": _text(64),
    "annotator_code": _matching("[A-Za-z0-9_-]{1,32}", "a pseudonym of 1 to 32 letters, digits, _ or -"),
}
"""Fields of a file that also begin every row of a CSV; a JSON file has `pass` and `records` besides."""
RECORD: dict[str, Field] = {
    "feature_uid": _NAME,
    "interpretable": Field("yes, no or unsure", lambda v: isinstance(v, str) and v in ANSWERS),
    "label": _text(LABEL),
    "ontology_ids": _list("identifiers such as GO:0006955"),
    "confidence": _SCALE,
    "usefulness": _SCALE,
    "panels_used": _list("names of panels"),
    "seconds": Field(
        "a number of seconds from 0 on",
        lambda v: isinstance(v, int | float) and not isinstance(v, bool) and 0 <= v < 2**53,
    ),
    "comment": _text(COMMENT),
    "repeat_of": Field("null or a feature_uid", lambda v: v is None or _NAME.holds(v)),
    "pass": Field("1 or 2", lambda v: _whole(v, range(1, 3))),
    "blind": Field("true or false", lambda v: isinstance(v, bool)),
    "saved": Field("an instant in UTC such as 2026-01-31T09:00:00.000Z", _instant),
}
"""Fields of a record, in the order of a CSV."""
LISTS = ("ontology_ids", "panels_used")


def check(values: Any, fields: Mapping[str, Field], where: str) -> None:
    """Refuse what is no mapping with exactly these fields and allowed values.

    Raises:
        InputError: names the place, the field, what stands there and what must.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where} is {reprlib.repr(values)}, not a set of named fields. Nothing was read.")
    if unknown := sorted(set(values) - set(fields)):
        raise InputError(
            f"{where} has the unknown field {reprlib.repr(unknown[0])}; known: {', '.join(fields)}. Nothing was read."
        )
    for name, field in fields.items():
        if name not in values:
            raise InputError(f"{where} lacks the field {name}. Nothing was read; export the file again.")
        if not field.holds(values[name]):
            raise InputError(
                f"{where}, field {name}: {reprlib.repr(values[name])} is not {field.must}. Nothing was read."
            )


@dataclass(frozen=True)
class Record:
    """One answer about one feature, as it was saved at one instant; never changed, only followed by a later version."""

    feature_uid: str
    """Such as "sae-12"."""
    interpretable: str
    """One of `ANSWERS`."""
    label: str
    """The annotator's name for it."""
    ontology_ids: tuple[str, ...]
    """Terms that stand for the label, such as "GO:0006955"."""
    confidence: int | None
    """1 to 5, None where not given."""
    usefulness: int | None
    """1 to 5, None where not given."""
    panels_used: tuple[str, ...]
    """Panels that were opened."""
    seconds: float
    """Time from the sight of the feature to the answer."""
    comment: str
    """Free text."""
    repeat_of: str | None
    """The same uid where the item was shown again, to compare the annotator's two answers."""
    pass_: int
    """1 or 2."""
    blind: bool
    """Arm and enrichment were hidden."""
    saved: str
    """ISO 8601, UTC."""

    @classmethod
    def of(cls, values: Any, where: str) -> "Record":
        """Check the fields of a record; raises InputError, which begins with `where`."""
        check(values, RECORD, where)
        if values["repeat_of"] not in (None, values["feature_uid"]):
            raise InputError(
                f"{where}, field repeat_of: {values['repeat_of']!r} is not null or the record's own feature_uid, "
                f"{values['feature_uid']!r}. Nothing was read."
            )
        held = {name: tuple(value) if name in LISTS else value for name, value in values.items()}
        seconds = held["seconds"]
        held["seconds"] = int(seconds) if seconds == int(seconds) else seconds  # 12.0 and 12 are one version
        return cls(**{"pass_" if name == "pass" else name: value for name, value in held.items()})

    def values(self) -> dict[str, Any]:
        """Field -> value as in a file."""
        held = {name: getattr(self, "pass_" if name == "pass" else name) for name in RECORD}
        return {name: list(value) if name in LISTS else value for name, value in held.items()}

    @property
    def instant(self) -> datetime:
        """When it was saved."""
        return datetime.fromisoformat(self.saved)
